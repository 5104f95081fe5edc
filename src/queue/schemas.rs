//! The schemas in `docs/` are those of the code.

use std::path::Path;

use schemars::JsonSchema;
use serde_json::Value;

use super::{event, wire};

/// The schema of what `T` is written as.
pub(crate) fn written<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Fails unless `docs/FILE` is `schema`. With `FACEFLEET_WRITE_SCHEMAS` set, writes it first.
pub(crate) fn assert_documented(file: &str, schema: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("FACEFLEET_WRITE_SCHEMAS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/{file} differs from the code: run the tests once with FACEFLEET_WRITE_SCHEMAS=1 and \
            review the change"
    );
}

#[test]
fn the_schemas_in_the_documentation_match_the_code() {
    assert_documented("job.schema.json", &wire::schema());
    assert_documented("event.schema.json", &event::schema());
}
