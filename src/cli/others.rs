//! How a scan tells of what it did not list as an image.

use serde_json::{Value, json};

use super::printable;
use crate::gallery::others::{LeftOut, Others};
use crate::images::{ListingError, NotListed, NotListedReason};

/// More endings or rules than this are told together.
const SHOWN: usize = 12;

/// A line for each kind of it that there is.
pub(super) fn text(others: &Others) -> String {
    let mut text = String::new();
    if !others.left_alone.is_empty() {
        let endings = others.left_alone.iter().map(|(ending, &count)| (ending.as_str(), count));
        text += &format!("left alone: {}\n", by_count(endings, "of other endings"));
    }
    if !others.left_out.is_empty() {
        let rules =
            others.left_out.iter().map(|(rule, one)| (rule.as_str(), one.files + one.folders));
        text += &format!(
            "left out: {} by rule ({})\n",
            amount(others.left_out()),
            by_count(rules, "by other rules")
        );
    }
    if others.links_inside > 0 {
        text += &format!(
            "{} to what is below the roots, which is listed once\n",
            links(others.links_inside)
        );
    }
    if others.links_outside > 0 {
        let (lead, were) =
            if others.links_outside == 1 { ("leads", "was") } else { ("lead", "were") };
        let links = links(others.links_outside);
        let example = |(link, target): &(String, String)| {
            format!(" ({} -> {})", printable(link), printable(target))
        };
        let example = others.link_outside.as_ref().map(example).unwrap_or_default();
        text += &format!(
            "{links} {lead} outside the roots and {were} not followed{example}: to scan what is \
                there, name its folder in the command too\n"
        );
    }
    if others.links_broken > 0 {
        text += &format!("{} broken: what they lead to is not there\n", links(others.links_broken));
    }
    text
}

/// All of it in a few words; none if there is nothing.
pub(super) fn brief(others: &Others) -> Option<String> {
    let (left_alone, left_out) = (others.left_alone(), others.left_out());
    let all_links = others.links_inside + others.links_outside + others.links_broken;
    let mut parts = Vec::new();
    if left_alone > 0 {
        parts.push(format!("{} left alone", files(left_alone)));
    }
    if left_out != LeftOut::default() {
        parts.push(format!("{} left out by rule", amount(left_out)));
    }
    if all_links > 0 {
        parts.push(links(all_links));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The counts, for a summary in JSON.
pub(super) fn counts_json(others: &Others) -> Value {
    let LeftOut { files, folders } = others.left_out();
    let rule = |(rule, one): (&String, &LeftOut)| {
        (rule.clone(), json!({ "files": one.files, "folders": one.folders }))
    };
    let rules: serde_json::Map<_, _> = others.left_out.iter().map(rule).collect();
    json!({
        "left_alone": others.left_alone,
        "left_out": { "files": files, "folders": folders, "rules": rules },
        "links": { "inside": others.links_inside, "outside": others.links_outside, "broken": others.links_broken },
    })
}

/// The line of one.
pub(super) fn line_json(other: &NotListed) -> Value {
    let uri = other.uri.as_ref().map(|uri| uri.without_secrets().as_str().to_owned());
    let with = |key: &str, mut about: Value| {
        about["name"] = json!(other.name);
        about["uri"] = json!(uri);
        json!({ key: about })
    };
    match &other.reason {
        NotListedReason::NotAnImage(ending) => {
            with("left_alone", json!({ "ending": ending.strip_prefix('.') }))
        }
        NotListedReason::SpecialFile => {
            with("left_alone", json!({ "ending": null, "special": true }))
        }
        NotListedReason::Rule { rule, folder } => {
            with("left_out", json!({ "rule": rule, "folder": folder }))
        }
        NotListedReason::LinkInside => with("link", json!({ "leads": "inside" })),
        NotListedReason::LinkOutside(target) => {
            with("link", json!({ "leads": "outside", "target": target.display().to_string() }))
        }
        NotListedReason::LinkBroken => with("link", json!({ "leads": "nowhere" })),
    }
}

/// The line of what could not be listed.
pub(super) fn unlisted_json(error: &ListingError) -> Value {
    json!({ "unlisted": { "name": error.what, "reason": error.reason } })
}

/// Why one is not listed, in a few words.
pub(super) fn reason(why: &NotListedReason) -> String {
    match why {
        NotListedReason::NotAnImage(_) => {
            "left alone: neither its ending nor its first bytes are an image's".into()
        }
        NotListedReason::SpecialFile => "left alone: a pipe, a socket or a device".into(),
        NotListedReason::Rule { rule, folder: true } => {
            format!("left out with all that is in it: {rule}")
        }
        NotListedReason::Rule { rule, folder: false } => format!("left out: {rule}"),
        NotListedReason::LinkInside => "a link to what is below the roots".into(),
        NotListedReason::LinkOutside(target) => {
            format!("not followed: the link leads outside the roots, to {}", target.display())
        }
        NotListedReason::LinkBroken => "a broken link".into(),
    }
}

/// `12 .txt, 3 .mp4`, the most first.
fn by_count<'a>(counts: impl Iterator<Item = (&'a str, u64)>, rest: &str) -> String {
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more: u64 = counts.iter().skip(SHOWN).map(|(_, count)| count).sum();
    let mut parts: Vec<_> = counts
        .iter()
        .take(SHOWN)
        .map(|(name, count)| format!("{count} {}", printable(name)))
        .collect();
    if more > 0 {
        parts.push(format!("{more} {rest}"));
    }
    parts.join(", ")
}

fn amount(left_out: LeftOut) -> String {
    let folders = if left_out.folders == 1 {
        "1 folder".into()
    } else {
        format!("{} folders", left_out.folders)
    };
    match left_out {
        LeftOut { files: count, folders: 0 } => files(count),
        LeftOut { files: 0, .. } => folders,
        LeftOut { files: count, .. } => format!("{folders} and {}", files(count)),
    }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".into() } else { format!("{count} files") }
}

fn links(count: u64) -> String {
    if count == 1 { "1 link".into() } else { format!("{count} links") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_what_was_left_alone_and_left_out_the_most_first() {
        let mut others = Others::default();
        assert_eq!((text(&others), brief(&others)), (String::new(), None));
        others.left_alone.extend([
            (".mp4".to_owned(), 3),
            (".txt".to_owned(), 12),
            ("without ending".to_owned(), 1),
        ]);
        others.left_out.insert("@eaDir".into(), LeftOut { files: 0, folders: 2 });
        others.left_out.insert("--exclude *.png".into(), LeftOut { files: 10, folders: 1 });
        (others.links_outside, others.link_outside) = (3, Some(("/a/b".into(), "/c".into())));
        let text = text(&others);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "left alone: 12 .txt, 3 .mp4, 1 without ending");
        assert_eq!(
            lines[1],
            "left out: 3 folders and 10 files by rule (11 --exclude *.png, 2 @eaDir)"
        );
        assert!(
            lines[2]
                .starts_with("3 links lead outside the roots and were not followed (/a/b -> /c): "),
            "{text}"
        );
        assert_eq!(lines.len(), 3);
        assert_eq!(
            brief(&others).unwrap(),
            "16 files left alone, 3 folders and 10 files left out by rule, 3 links"
        );
    }

    #[test]
    fn names_are_shown_without_what_a_terminal_obeys_and_are_exact_in_json() {
        let mut others = Others::default();
        others.left_alone.insert(".\x1b]0;title".to_owned(), 1);
        others.left_out.insert("--exclude a\x1b*".into(), LeftOut { files: 1, folders: 0 });
        (others.links_outside, others.link_outside) = (1, Some(("/a\x1b".into(), "/b\x1b".into())));
        let text = text(&others);
        for shown in ["1 .\\u{1b}]0;title\n", "(1 --exclude a\\u{1b}*)", "(/a\\u{1b} -> /b\\u{1b})"]
        {
            assert!(text.contains(shown), "{shown} in {text:?}");
        }
        assert!(!text.contains('\x1b'), "{text:?}");
        assert_eq!(counts_json(&others)["left_alone"], json!({ ".\x1b]0;title": 1 }));
    }

    #[test]
    fn many_endings_are_told_in_one_line() {
        let mut others = Others::default();
        others.left_alone.extend((1..=20).map(|number| (format!(".{number:03}"), number)));
        let text = text(&others);
        assert!(
            text.starts_with("left alone: 20 .020, 19 .019,")
                && text.ends_with(" 9 .009, 36 of other endings\n"),
            "{text}"
        );
    }
}
