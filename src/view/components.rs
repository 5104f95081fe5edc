//! The components of a face, as every command, export and API shows them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::domain::{Component, Components};

/// How many components a line names that says why a face is poor.
pub const MOST_FAULTS: usize = 3;

/// The components of a face: an object with a field for each one that the list names. In a table,
/// each is two columns: `components_sharpness` (0 to 100), `components_sharpness_value` (native).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ComponentsView(Components);

/// A component of a face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentView {
    /// The native value, in its unit.
    pub value: f32,
    /// 0 (worst) to 100 (best).
    #[cfg_attr(test, schemars(range(max = 100)))]
    pub quality: u8,
}

impl ComponentsView {
    /// None if nothing is known.
    pub fn of(components: &Components) -> Option<Self> {
        (!components.is_empty()).then_some(Self(*components))
    }
}

impl Serialize for ComponentsView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Component::COUNT))?;
        for component in Component::all() {
            let shown = self
                .0
                .get(component)
                .map(|value| ComponentView { value, quality: component.quality(value) });
            map.serialize_entry(component.spec().name, &shown)?;
        }
        map.end()
    }
}

#[cfg(test)]
impl schemars::JsonSchema for ComponentsView {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ComponentsView".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut fields = serde_json::Map::new();
        for component in Component::all() {
            let mut field = generator.subschema_for::<Option<ComponentView>>();
            let spec = component.spec();
            let description = format!(
                "Best: {}; in {}. A low quality says: {}. Null if it cannot be known.",
                spec.best.as_str(),
                spec.unit,
                spec.fault
            );
            field.insert("description".into(), description.into());
            fields.insert(spec.name.into(), field.to_value());
        }
        let names: Vec<&str> = Component::all().map(|component| component.spec().name).collect();
        schemars::json_schema!({
            "type": "object",
            "description": "The components of a face, by name.",
            "properties": fields,
            "required": names,
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_has_its_native_value_and_its_quality() {
        assert_eq!(ComponentsView::of(&Components::default()), None);
        let mut components = Components::default();
        components.set(Component::Yaw, Some(-45.0));
        let json = serde_json::to_value(ComponentsView::of(&components)).unwrap();
        assert_eq!(json["yaw"], serde_json::json!({"value": -45.0, "quality": 50}));
        assert!(json["crop_left"].is_null());
        assert_eq!(json.as_object().unwrap().len(), Component::COUNT);
    }
}
