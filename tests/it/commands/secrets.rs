//! No command repeats a password or a signature of its arguments.

use super::Sandbox;

#[test]
fn errors_of_the_command_line_have_no_secrets() {
    let sandbox = Sandbox::new();
    let place = "https://user:hunter2@h/staff";
    let strange = "https://user:hun?ter2hunter2@h/staff";
    let query = "s3://bucket/a.jpg?sig=hunter2";
    for arguments in [
        &["scan", place][..],
        &["scan", query],
        &["scan", "photos", "--root", place],
        &["scan", "--from", "ftp://user:hunter2@h/list.txt"],
        &["scan", "--from", query],
        &["worker", "--root", place],
        &["worker", strange],
        &["worker", "--root", strange],
        &["doctor", "--root", place],
        &["show", "https://user:hunter2@[h/a.jpg"],
        &["export", "--image", "https://user:hunter2@[h/a.jpg"],
        &["report", place],
        &["scan", "--again", place],
    ] {
        let run = sandbox.run(arguments);
        run.ended(2);
        assert!(!run.err.contains("hunter2"), "{arguments:?}: {}", run.err);
        assert!(run.err.contains("error: "), "{arguments:?}: {}", run.err);
    }
    let run = sandbox.run(&["scan", "--root", place, "photos"]);
    assert!(run.err.contains("invalid value 'https://…@h/staff'"), "{}", run.err);
    let run = sandbox.run(&["scan", "--from", query]);
    assert!(run.err.contains("it has a query"), "{}", run.err);
    let run = sandbox.run(&["export", "--image", ""]);
    run.ended(2);
    assert_eq!(run.out, "");
}
