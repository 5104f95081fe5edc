VACUUM (FULL, ANALYZE) sources, images, results, faces, templates, subjects, enrolments, enrolment_jobs,
    subject_references, campaigns, source_troubles, curations, verdicts, erasure_contents,
    removed_contents
