//! What a scan does not list as an image, as text.

use super::printable;
use crate::gallery::not_listed::NotListedCounter;
use crate::images::NotListedReason;

/// More endings or rules than this are counted together.
const SHOWN: usize = 12;

/// A line for each kind that was met.
pub(super) fn text(met: &NotListedCounter) -> String {
    let (left_alone, left_out) = (&met.counts.left_alone, &met.counts.left_out);
    let mut text = String::new();
    if !left_alone.is_empty() {
        let endings = left_alone.iter().map(|(ending, &count)| (ending.as_str(), count));
        text += &format!("left alone: {}\n", by_count(endings, "of other endings"));
    }
    if !left_out.rules.is_empty() {
        let rules =
            left_out.rules.iter().map(|(rule, count)| (rule.as_str(), count.files + count.folders));
        text += &format!(
            "left out: {} by rule ({})\n",
            amount(left_out.files, left_out.folders),
            by_count(rules, "by other rules")
        );
    }
    text += &links_text(met);
    if met.counts.repeated > 0 {
        text += &format!(
            "{} repeated: named by more than one row, or by a row and below a root; each image is \
                listed once\n",
            met.counts.repeated
        );
    }
    text
}

/// A line that names roots below which there is nothing.
pub(super) fn empty_roots(met: &NotListedCounter) -> String {
    if met.empty_roots.is_empty() {
        return String::new();
    }
    let names: Vec<_> = met.empty_roots.iter().map(|name| printable(name)).collect();
    let more = met.counts.empty_roots.saturating_sub(names.len() as u64);
    let more = if more > 0 { format!(" and {more} others") } else { String::new() };
    format!("there is nothing below {}{more}\n", names.join(", "))
}

fn links_text(met: &NotListedCounter) -> String {
    let counts = met.counts.links;
    let mut text = String::new();
    if counts.inside > 0 {
        let links = links(counts.inside);
        text += &format!(
            "{links} to files below the roots, which are listed once, by their own path\n"
        );
    }
    if counts.outside > 0 {
        let (lead, were) = if counts.outside == 1 { ("leads", "was") } else { ("lead", "were") };
        let links = links(counts.outside);
        let example = |(link, target): &(String, String)| {
            format!(" ({} -> {})", printable(link), printable(target))
        };
        let example = met.link_outside.as_ref().map(example).unwrap_or_default();
        text += &format!(
            "{links} {lead} outside the roots and {were} not followed{example}: to scan what is \
                there, name its folder in the command too\n"
        );
    }
    if counts.broken > 0 {
        text += &format!("{} broken: the target does not exist\n", links(counts.broken));
    }
    text
}

/// A summary in a few words; `None` if nothing was left out.
pub(super) fn brief(met: &NotListedCounter) -> Option<String> {
    let (left_alone, left_out) = (met.left_alone(), &met.counts.left_out);
    let counts = met.counts.links;
    let all_links = counts.inside + counts.outside + counts.broken;
    let mut parts = Vec::new();
    if left_alone > 0 {
        parts.push(format!("{} left alone", files(left_alone)));
    }
    if left_out.files + left_out.folders > 0 {
        parts.push(format!("{} left out by rule", amount(left_out.files, left_out.folders)));
    }
    if all_links > 0 {
        parts.push(links(all_links));
    }
    if met.counts.repeated > 0 {
        parts.push(format!("{} repeated", met.counts.repeated));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Why something is not listed, in a few words.
pub(super) fn reason(why: &NotListedReason) -> String {
    match why {
        NotListedReason::NotAnImage(_) => {
            "left alone: neither its ending nor its first bytes are those of an image".into()
        }
        NotListedReason::SpecialFile => "left alone: a pipe, a socket or a device".into(),
        NotListedReason::Rule { rule, folder: true } => {
            format!("left out with everything in it: {rule}")
        }
        NotListedReason::Rule { rule, folder: false } => format!("left out: {rule}"),
        NotListedReason::LinkInside => "a link to something below the roots".into(),
        NotListedReason::LinkOutside(target) => {
            format!("not followed: the link leads outside the roots, to {}", target.display())
        }
        NotListedReason::LinkBroken => "a broken link".into(),
        NotListedReason::Repeated => "repeated: a row of a list names it already".into(),
        NotListedReason::EmptyRoot => "there is nothing below it".into(),
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

fn amount(count: u64, folders: u64) -> String {
    let folders_text = if folders == 1 { "1 folder".into() } else { format!("{folders} folders") };
    match (count, folders) {
        (count, 0) => files(count),
        (0, _) => folders_text,
        (count, _) => format!("{folders_text} and {}", files(count)),
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
    use crate::view::not_listed::RuleCount;

    fn left_out(met: &mut NotListedCounter, rule: &str, files: u64, folders: u64) {
        let left_out = &mut met.counts.left_out;
        left_out.files += files;
        left_out.folders += folders;
        left_out.rules.insert(rule.into(), RuleCount { files, folders });
    }

    #[test]
    fn the_summary_says_what_was_left_alone_and_left_out_the_most_first() {
        let mut met = NotListedCounter::default();
        assert_eq!((text(&met), brief(&met)), (String::new(), None));
        met.counts.left_alone.extend([
            (".mp4".to_owned(), 3),
            (".txt".to_owned(), 12),
            ("without ending".to_owned(), 1),
        ]);
        left_out(&mut met, "@eaDir", 0, 2);
        left_out(&mut met, "--exclude *.png", 10, 1);
        met.counts.links.outside = 3;
        met.link_outside = Some(("/a/b".into(), "/c".into()));
        let text = text(&met);
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
            brief(&met).unwrap(),
            "16 files left alone, 3 folders and 10 files left out by rule, 3 links"
        );
    }

    #[test]
    fn names_are_shown_without_what_a_terminal_obeys_and_are_exact_in_json() {
        let mut met = NotListedCounter::default();
        met.counts.left_alone.insert(".\x1b]0;title".to_owned(), 1);
        left_out(&mut met, "--exclude a\x1b*", 1, 0);
        met.counts.links.outside = 1;
        met.link_outside = Some(("/a\x1b".into(), "/b\x1b".into()));
        let text = text(&met);
        for shown in ["1 .\\u{1b}]0;title\n", "(1 --exclude a\\u{1b}*)", "(/a\\u{1b} -> /b\\u{1b})"]
        {
            assert!(text.contains(shown), "{shown} in {text:?}");
        }
        assert!(!text.contains('\x1b'), "{text:?}");
        let json = serde_json::to_value(&met.counts).unwrap();
        assert_eq!(json["left_alone"], serde_json::json!({ ".\x1b]0;title": 1 }));
    }

    #[test]
    fn many_endings_are_shown_in_one_line() {
        let mut met = NotListedCounter::default();
        met.counts.left_alone.extend((1..=20).map(|number| (format!(".{number:03}"), number)));
        let text = text(&met);
        assert!(
            text.starts_with("left alone: 20 .020, 19 .019,")
                && text.ends_with(" 9 .009, 36 of other endings\n"),
            "{text}"
        );
    }
}
