//! The embedding kept for matching.

use std::fmt;

use half::f16;
use half::slice::HalfFloatSliceExt;

/// Why a vector cannot be a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A component is NaN or infinite.
    #[error("the embedding has a component that is not finite")]
    NotFinite,
    /// The norm is zero.
    #[error("the embedding is zero")]
    Zero,
}

/// A unit vector of D finite components. `Debug` does not show it: it is biometric data.
#[derive(Clone, PartialEq)]
pub struct Template(Box<[f32]>);

impl Template {
    /// Scales an embedding to unit norm. Returns the template and the norm of the embedding.
    ///
    /// # Errors
    /// If a component is NaN or infinite, or the norm is zero.
    pub fn from_embedding(embedding: &[f32]) -> Result<(Self, f32), TemplateError> {
        if !embedding.iter().all(|value| value.is_finite()) {
            return Err(TemplateError::NotFinite);
        }
        let norm =
            embedding.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
        if norm <= f64::from(f32::MIN_POSITIVE) {
            return Err(TemplateError::Zero);
        }
        let unit = embedding.iter().map(|&value| (f64::from(value) / norm) as f32).collect();
        Ok((Self(unit), norm as f32))
    }

    /// The components.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Cosine similarity, -1 to 1. Both templates must come from the same profile.
    pub fn similarity(&self, other: &Self) -> f64 {
        self.0.iter().zip(&other.0).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    /// The components as stores keep them: 16-bit floats.
    pub fn to_halves(&self) -> Vec<f16> {
        self.0.iter().map(|&value| f16::from_f32(value)).collect()
    }

    /// The template whose components were stored as `halves`, scaled to unit norm again.
    ///
    /// # Errors
    /// As [`Self::from_embedding`].
    pub fn from_halves(halves: &[f16]) -> Result<Self, TemplateError> {
        let mut values = vec![0.0; halves.len()];
        halves.convert_to_f32_slice(&mut values);
        Self::from_embedding(&values).map(|(template, _)| template)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({} components)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_without_direction_are_not_templates() {
        assert_eq!(Template::from_embedding(&[0.0, 0.0]), Err(TemplateError::Zero));
        assert_eq!(Template::from_embedding(&[]), Err(TemplateError::Zero));
        assert_eq!(Template::from_embedding(&[1.0, f32::NAN]), Err(TemplateError::NotFinite));
        assert_eq!(Template::from_embedding(&[f32::INFINITY]), Err(TemplateError::NotFinite));
    }

    #[test]
    fn a_template_has_unit_norm_and_survives_storage() {
        let (template, norm) = Template::from_embedding(&[3.0, 4.0]).unwrap();
        assert_eq!(norm, 5.0);
        assert!((template.similarity(&template) - 1.0).abs() < 1e-6);
        let again = Template::from_halves(&template.to_halves()).unwrap();
        assert!((template.similarity(&again) - 1.0).abs() < 1e-6);
        assert_eq!(again.to_halves(), template.to_halves());
        assert!(Template::from_halves(&[f16::ZERO, f16::NAN]).is_err());
        assert_eq!(format!("{template:?}"), "Template(2 components)");
    }
}
