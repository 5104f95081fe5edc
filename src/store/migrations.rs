//! The migrations of both backends, compiled into the program.

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A file of `migrations/`: its version, what it adds, and its SQL.
type File = (i64, &'static str, &'static str);

const SQLITE: &[File] = &[
    (1, "results", include_str!("../../migrations/sqlite/0001_results.sql")),
    (2, "campaigns", include_str!("../../migrations/sqlite/0002_campaigns.sql")),
    (3, "selection", include_str!("../../migrations/sqlite/0003_selection.sql")),
    (4, "places", include_str!("../../migrations/sqlite/0004_places.sql")),
    (5, "halves", include_str!("../../migrations/sqlite/0005_halves.sql")),
    (6, "workers", include_str!("../../migrations/sqlite/0006_workers.sql")),
    (7, "views", include_str!("../../migrations/sqlite/0007_views.sql")),
    (8, "listing_error", include_str!("../../migrations/sqlite/0008_listing_error.sql")),
    (9, "expected_hash", include_str!("../../migrations/sqlite/0009_expected_hash.sql")),
    (10, "components", include_str!("../../migrations/sqlite/0010_components.sql")),
    (11, "subjects", include_str!("../../migrations/sqlite/0011_subjects.sql")),
    (12, "activations", include_str!("../../migrations/sqlite/0012_activations.sql")),
    (13, "changes", include_str!("../../migrations/sqlite/0013_changes.sql")),
    (14, "schedules", include_str!("../../migrations/sqlite/0014_schedules.sql")),
    (15, "take_overs", include_str!("../../migrations/sqlite/0015_take_overs.sql")),
    (16, "erasures", include_str!("../../migrations/sqlite/0016_erasures.sql")),
    (17, "verdicts", include_str!("../../migrations/sqlite/0017_verdicts.sql")),
    (18, "missing", include_str!("../../migrations/sqlite/0018_missing.sql")),
    (19, "retention", include_str!("../../migrations/sqlite/0019_retention.sql")),
    (20, "erasure_key", include_str!("../../migrations/sqlite/0020_erasure_key.sql")),
    (21, "picture_hash", include_str!("../../migrations/sqlite/0021_picture_hash.sql")),
    (22, "removed_versions", include_str!("../../migrations/sqlite/0022_removed_versions.sql")),
    (23, "moves", include_str!("../../migrations/sqlite/0023_moves.sql")),
    (24, "subject_changes", include_str!("../../migrations/sqlite/0024_subject_changes.sql")),
];

const POSTGRES: &[File] = &[
    (1, "results", include_str!("../../migrations/postgres/0001_results.sql")),
    (2, "selection", include_str!("../../migrations/postgres/0002_selection.sql")),
    (3, "places", include_str!("../../migrations/postgres/0003_places.sql")),
    (4, "workers", include_str!("../../migrations/postgres/0004_workers.sql")),
    (5, "views", include_str!("../../migrations/postgres/0005_views.sql")),
    (6, "listing_error", include_str!("../../migrations/postgres/0006_listing_error.sql")),
    (7, "expected_hash", include_str!("../../migrations/postgres/0007_expected_hash.sql")),
    (8, "components", include_str!("../../migrations/postgres/0008_components.sql")),
    (9, "subjects", include_str!("../../migrations/postgres/0009_subjects.sql")),
    (10, "activations", include_str!("../../migrations/postgres/0010_activations.sql")),
    (11, "changes", include_str!("../../migrations/postgres/0011_changes.sql")),
    (12, "schedules", include_str!("../../migrations/postgres/0012_schedules.sql")),
    (13, "take_overs", include_str!("../../migrations/postgres/0013_take_overs.sql")),
    (14, "erasures", include_str!("../../migrations/postgres/0014_erasures.sql")),
    (15, "verdicts", include_str!("../../migrations/postgres/0015_verdicts.sql")),
    (16, "retire", include_str!("../../migrations/postgres/0016_retire.sql")),
    (17, "missing", include_str!("../../migrations/postgres/0017_missing.sql")),
    (18, "retention", include_str!("../../migrations/postgres/0018_retention.sql")),
    (19, "erasure_key", include_str!("../../migrations/postgres/0019_erasure_key.sql")),
    (20, "picture_hash", include_str!("../../migrations/postgres/0020_picture_hash.sql")),
    (21, "removed_versions", include_str!("../../migrations/postgres/0021_removed_versions.sql")),
    (22, "moves", include_str!("../../migrations/postgres/0022_moves.sql")),
    (23, "subject_changes", include_str!("../../migrations/postgres/0023_subject_changes.sql")),
];

fn migrator(files: &[File]) -> Migrator {
    let migration = |&(version, name, sql): &File| {
        let sql = SqlStr::from_static(sql);
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}

pub(super) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

pub(super) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{File, POSTGRES, SQLITE};

    #[test]
    fn every_file_of_the_folders_is_compiled_in() {
        let names = |files: &[File]| -> Vec<String> {
            files.iter().map(|(version, name, _)| format!("{version:04}_{name}.sql")).collect()
        };
        for (folder, compiled) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
            let mut found: Vec<String> = folder
                .read_dir()
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort_unstable();
            assert_eq!(names(compiled), found);
        }
    }
}
