//! What a scan does not list as an image: a line for each file, folder and link, and the counts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::images::{ListingError, NotListed, NotListedReason};

/// Something that is not listed as an image: a line of `scan --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NotListedView {
    /// A file that is not an image.
    LeftAlone(LeftAloneView),
    /// A file or folder that a rule leaves out.
    LeftOut(LeftOutView),
    /// A link that is not followed.
    Link(LinkView),
    /// A row of a list that names an image which is listed already.
    Repeated(RepeatedView),
    /// A folder or prefix of the command below which there is nothing.
    EmptyRoot(EmptyRootView),
    /// A file, folder or row of a list that could not be listed.
    Unlisted(UnlistedView),
}

/// A row of a list that names an image which is listed already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RepeatedView {
    /// The image and the row, as people read it.
    pub name: String,
    /// The URI of the image, exactly.
    pub uri: Option<String>,
}

/// A folder or prefix of the command below which there is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EmptyRootView {
    /// It, as the command names it.
    pub name: String,
}

/// A file that is not an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftAloneView {
    /// Its path or URL, as people read it.
    pub name: String,
    /// Its URI, exactly; null if its name makes no URI.
    pub uri: Option<String>,
    /// Its ending without the dot; null if it has none.
    pub ending: Option<String>,
    /// True for a pipe, a socket or a device; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special: Option<bool>,
}

/// A file or folder that a rule leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftOutView {
    /// Its path or URL, as people read it.
    pub name: String,
    /// Its URI, exactly; null if its name makes no URI.
    pub uri: Option<String>,
    /// The rule: a name such as `@eaDir`, an option with its glob, or `.facefleetignore`.
    pub rule: String,
    /// Whether it is a folder; nothing in it is listed or counted.
    pub folder: bool,
}

/// A link that is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LinkView {
    /// Its path, as people read it.
    pub name: String,
    /// Its URI, exactly; null if its name makes no URI.
    pub uri: Option<String>,
    /// `inside` or `outside` the roots, or `nowhere`.
    pub leads: &'static str,
    /// Where it leads, if that is outside the roots; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A file or folder that could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnlistedView {
    /// Its path or URL.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl From<&NotListed> for NotListedView {
    fn from(other: &NotListed) -> Self {
        let name = other.name.clone();
        let uri = other.uri.as_ref().map(|uri| uri.shown().into_owned());
        let link = |leads, target| LinkView { name: name.clone(), uri: uri.clone(), leads, target };
        match &other.reason {
            NotListedReason::NotAnImage(ending) => {
                let ending = ending.strip_prefix('.').map(str::to_owned);
                Self::LeftAlone(LeftAloneView { name, uri, ending, special: None })
            }
            NotListedReason::SpecialFile => {
                Self::LeftAlone(LeftAloneView { name, uri, ending: None, special: Some(true) })
            }
            NotListedReason::Rule { rule, folder } => {
                Self::LeftOut(LeftOutView { name, uri, rule: rule.clone(), folder: *folder })
            }
            NotListedReason::LinkInside => Self::Link(link("inside", None)),
            NotListedReason::LinkOutside(target) => {
                Self::Link(link("outside", Some(target.display().to_string())))
            }
            NotListedReason::LinkBroken => Self::Link(link("nowhere", None)),
            NotListedReason::Repeated => Self::Repeated(RepeatedView { name, uri }),
            NotListedReason::EmptyRoot => Self::EmptyRoot(EmptyRootView { name }),
        }
    }
}

impl From<&ListingError> for NotListedView {
    fn from(error: &ListingError) -> Self {
        Self::Unlisted(UnlistedView { name: error.what.clone(), reason: error.reason.clone() })
    }
}

/// Counts of what a scan does not list as images: part of its summary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NotListedCounts {
    /// Files that are not images, by ending.
    pub left_alone: BTreeMap<String, u64>,
    /// What rules leave out.
    pub left_out: LeftOutCounts,
    /// Links.
    pub links: LinkCounts,
    /// Rows of lists that name images which are listed already.
    pub repeated: u64,
    /// Folders and prefixes of the command below which there is nothing.
    pub empty_roots: u64,
}

/// Counts of what rules leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftOutCounts {
    /// Files, by any rule.
    pub files: u64,
    /// Folders, by any rule.
    pub folders: u64,
    /// By the rule.
    pub rules: BTreeMap<String, RuleCount>,
}

/// What one rule leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RuleCount {
    /// Files.
    pub files: u64,
    /// Folders; nothing in them is listed or counted.
    pub folders: u64,
}

/// Counts of links that are not followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LinkCounts {
    /// They lead to something below the roots, which is listed by its own path.
    pub inside: u64,
    /// They lead outside the roots.
    pub outside: u64,
    /// They lead nowhere, or in a circle.
    pub broken: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(why: NotListedReason) -> serde_json::Value {
        let uri = Some("file:///photos/a".parse().unwrap());
        serde_json::to_value(NotListedView::from(&NotListed {
            name: "/photos/a".into(),
            uri,
            reason: why,
        }))
        .unwrap()
    }

    #[test]
    fn each_kind_has_a_line_of_its_shape() {
        let uri = "file:///photos/a";
        assert_eq!(
            line(NotListedReason::NotAnImage(".txt".into())),
            json!({ "left_alone": { "name": "/photos/a", "uri": uri, "ending": "txt" } })
        );
        assert_eq!(
            line(NotListedReason::NotAnImage("without ending".into())),
            json!({ "left_alone": { "name": "/photos/a", "uri": uri, "ending": null } })
        );
        assert_eq!(
            line(NotListedReason::SpecialFile),
            json!({ "left_alone": {
                "name": "/photos/a", "uri": uri, "ending": null, "special": true
            } })
        );
        assert_eq!(
            line(NotListedReason::Rule { rule: "@eaDir".into(), folder: true }),
            json!({ "left_out": {
                "name": "/photos/a", "uri": uri, "rule": "@eaDir", "folder": true
            } })
        );
        assert_eq!(
            line(NotListedReason::LinkOutside("/far".into())),
            json!({ "link": {
                "name": "/photos/a", "uri": uri, "leads": "outside", "target": "/far"
            } })
        );
        assert_eq!(
            line(NotListedReason::LinkBroken),
            json!({ "link": { "name": "/photos/a", "uri": uri, "leads": "nowhere" } })
        );
        let error = ListingError { what: "/photos/b".into(), reason: "denied".into() };
        assert_eq!(
            serde_json::to_value(NotListedView::from(&error)).unwrap(),
            json!({ "unlisted": { "name": "/photos/b", "reason": "denied" } })
        );
    }
}
