//! The page as a whole.

use super::fixture::{self, Fixture};
use super::*;
use crate::domain::ImageUri;
use crate::domain::UtcTime;
use crate::store::{Note, PageFilter};

/// The first bytes of a JPEG for every face.
struct Jpegs;

#[async_trait]
impl Thumbnails for Jpegs {
    async fn thumbnail(&self, _: &StoredFace) -> Option<Vec<u8>> {
        Some(vec![0xff, 0xd8, 0xff, 0xe0])
    }
}

async fn page(store: &Fixture, thumbnails: &dyn Thumbnails) -> String {
    let settings = [("Selection".to_owned(), "all faces of at least 20 px <&>".to_owned())];
    collect(
        store,
        &fixture::gallery(),
        &fixture::profile().id(),
        thumbnails,
        &settings,
        ReportOptions::default(),
    )
    .await
    .unwrap()
    .html()
    .unwrap()
}

fn hostile() -> Fixture {
    let mut store = Fixture::default();
    store.add("/p/<script>alert(1)<\\script>.jpg", OutcomeKind::Scored, None).add_face(12);
    store.add("/p/\"'><img src=x onerror=alert(1)>.jpg", OutcomeKind::Scored, None).add_face(90);
    store.add(
        "/p/'onmouseover='x",
        OutcomeKind::Unreadable,
        Some("<b>\"bad\"</b> & '{{ gallery }}'"),
    );
    let not_utf8: ImageUri = "file:///p/%FF%3Cscript%3E.jpg".parse().unwrap();
    store.add_uri(&not_utf8, OutcomeKind::Scored, None).add_face(50);
    store.add_uri(
        &"https://user:pw@host/%22%3E.jpg?sig=secret".parse().unwrap(),
        OutcomeKind::Failed,
        Some("timeout"),
    );
    store
}

#[test]
fn the_futures_are_send() {
    fn movable<T: Send>(_: T) {}
    let (store, gallery, profile) =
        (Fixture::default(), fixture::gallery(), fixture::profile().id());
    movable(collect(&store, &gallery, &profile, &Jpegs, &[], ReportOptions::default()));
    let (format, templates) = (ExportFormat::Csv, true);
    let (outcomes, filter) = (Vec::new(), PageFilter::default());
    let options = ExportOptions { format, templates, outcomes, filter };
    movable(export(&store, &gallery, &profile, &options, Vec::new()));
}

#[tokio::test]
async fn hostile_names_and_reasons_are_shown_as_text() {
    let html = page(&hostile(), &Jpegs).await;
    for forbidden in ["<script", "<img src=x", "'>", "<b>", "'onmouseover='", "secret", "pw@"] {
        // In the template, only the policy has single quotes.
        let html = html.replace("'none'", "").replace("'unsafe-inline'", "");
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("&#60;script&#62;alert(1)"));
    assert!(html.contains("{{ gallery }}"), "text is not a template");
    assert!(html.contains("\u{fffd}&#60;script&#62;.jpg"));
    assert!(html.contains("20 px &#60;&#38;&#62;"));
}

#[tokio::test]
async fn the_page_loads_nothing_and_runs_no_script() {
    for html in [page(&hostile(), &Jpegs).await, page(&Fixture::default(), &NoThumbnails).await] {
        assert!(
            html.contains("content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'")
        );
        for forbidden in [
            "=\"http", "='http", "url(", "@import", "<link", "<script", "<iframe", "<object",
            "src=\"/", "srcset",
        ] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        let sources: Vec<_> = html.split("src=\"").skip(1).collect();
        assert!(sources.iter().all(|source| source.starts_with("data:image/")));
    }
}

#[tokio::test]
async fn only_a_page_with_pictures_of_faces_has_the_warning() {
    let with = page(&hostile(), &Jpegs).await;
    assert_eq!(with.matches("<img ").count(), 3);
    assert_eq!(with.matches(" alt=\"").count(), 3);
    assert!(with.contains("biometric"));
    let without = page(&hostile(), &NoThumbnails).await;
    assert_eq!(without.matches("<img ").count(), 0);
    assert_eq!(without.matches("href=\"#no-picture\"").count(), 3);
    assert!(!without.contains("biometric"));
}

#[tokio::test]
async fn the_page_says_that_a_gallery_is_empty_or_has_no_face() {
    let empty = page(&Fixture::default(), &Jpegs).await;
    assert!(empty.contains("No image of this gallery"));
    assert!(!empty.contains("NaN"));
    let mut faceless = Fixture::default();
    faceless.add("/p/wall.jpg", OutcomeKind::NoFace, None);
    let faceless = page(&faceless, &Jpegs).await;
    assert!(faceless.contains("No face was scored"));
    assert!(faceless.contains("100.0%"));
    assert!(faceless.contains("/p/wall.jpg"));
    assert!(!faceless.contains("biometric"));
}

#[tokio::test]
async fn a_long_list_of_problems_is_cut_and_the_page_says_so() {
    let mut store = Fixture::default();
    for i in 0..101 {
        store.add(&format!("/p/{i}.jpg"), OutcomeKind::Unreadable, Some("truncated"));
    }
    let html = page(&store, &NoThumbnails).await;
    assert!(html.contains("The first 100 of 101"));
    assert!(html.contains("/p/99.jpg") && !html.contains("/p/100.jpg"));
}

#[tokio::test]
async fn images_that_keep_an_earlier_result_are_counted() {
    let mut store = Fixture::of_qualities(&[50, 60]);
    assert!(!page(&store, &NoThumbnails).await.contains("earlier result"));
    store.images[0].noted = Some(Note {
        outcome: OutcomeKind::Refused,
        reason: Some("denied".into()),
        at: UtcTime::from_millisecond(1_767_323_045_000).unwrap(),
    });
    assert!(
        page(&store, &NoThumbnails)
            .await
            .contains("the latest attempt to read them got no bytes: 1.")
    );
}

#[tokio::test]
async fn a_profile_without_a_definition_still_has_a_page() {
    let store = Fixture::of_qualities(&[50]);
    let other: ProfileId = "0123456789abcdef".parse().unwrap();
    let report =
        collect(&store, &fixture::gallery(), &other, &NoThumbnails, &[], ReportOptions::default())
            .await
            .unwrap();
    assert!(report.html().unwrap().contains("not registered"));
}
