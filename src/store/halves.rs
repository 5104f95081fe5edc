//! A template as both backends store it: 16-bit floats. Each backend writes and reads them in its
//! own format.

use half::f16;

use crate::domain::{Template, TemplateError};

/// The components of a stored template.
#[derive(Clone)]
pub(super) struct Halves(pub(super) Vec<f16>);

impl Halves {
    pub(super) fn template(&self) -> Result<Template, TemplateError> {
        Template::from_halves(&self.0)
    }
}

impl From<&Template> for Halves {
    fn from(template: &Template) -> Self {
        Self(template.to_halves())
    }
}
