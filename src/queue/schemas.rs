//! The schemas in `docs/` are those of the code.

use std::path::Path;

use super::{event, wire};

#[test]
fn the_schemas_in_the_documentation_match_the_code() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (file, schema) in
        [("job.schema.json", wire::schema()), ("event.schema.json", event::schema())]
    {
        let path = docs.join(file);
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        // Updates the file.
        if std::env::var_os("FACEFLEET_WRITE_SCHEMAS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "docs/{file} differs from the code: run the tests once with \
                FACEFLEET_WRITE_SCHEMAS=1 and review the change"
        );
    }
}
