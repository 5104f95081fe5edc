//! The chip cache in a bucket.

use facefleet::domain::{
    AlignedFace, AlignmentProfile, Chip, ContentHash, FaceResult, Faces, ImageContent, Selection,
};
use facefleet::images::{ChipCache, ImageChips, KeptChips, Root};

use super::variables;
use crate::support::face;
use crate::support::s3::S3Server;
use crate::support::sources::{LIMITS, objects};
use crate::support::stack::CLOSED_PORT;

const SELECTION: Selection = Selection { faces: Faces::All, min_size_px: 24, min_score: 0.6 };

fn found() -> ImageChips {
    let FaceResult { face, components, .. } = face(50);
    let face = AlignedFace { face, chip: Some(Chip::synthetic()), components };
    let hash = ContentHash::of(b"a photo");
    let content = ImageContent { hash, bytes: 7, size: Some((640, 480)), picture: None };
    ImageChips { content, faces: vec![face], smallest_face_px: 20.0 }
}

fn cache(variables: Vec<(String, String)>) -> ChipCache {
    let root: Root = "s3://faces/kept/chips".parse().unwrap();
    ChipCache::new(root, objects(variables, LIMITS), AlignmentProfile::None).unwrap()
}

async fn write(cache: &ChipCache, found: &ImageChips) {
    cache.write(cache.entry(&SELECTION, found).unwrap()).await;
}

#[tokio::test]
async fn chips_are_kept_below_the_prefix_of_a_bucket() {
    let server = S3Server::start();
    server.put("faces", "a.txt", b"makes the bucket");
    let (cache, found) = (cache(server.variables()), found());
    let hash = found.content.hash;
    assert_eq!(cache.read(&SELECTION, hash).await, None);
    assert_eq!(cache.has(&SELECTION, hash).await, Some(false));
    write(&cache, &found).await;
    assert_eq!(cache.has(&SELECTION, hash).await, Some(true));
    assert_eq!(cache.read(&SELECTION, hash).await, Some(found.clone()));

    let below = std::fs::read_dir(server.path("faces").join("kept/chips")).unwrap();
    let ids: Vec<_> = below.map(|entry| entry.unwrap().path()).collect();
    let [id] = &ids[..] else { panic!("{ids:?}") };
    let object = id.join(&hash.to_string()[..2]).join(hash.to_string());
    let whole = std::fs::read(&object).unwrap();
    let key = object.strip_prefix(server.path("faces")).unwrap().to_str().unwrap();
    server.put("faces", key, &whole[..whole.len() / 2]);
    assert_eq!(cache.read(&SELECTION, hash).await, None, "it is damaged");
    write(&cache, &found).await;
    assert_eq!(std::fs::read(&object).unwrap(), whole);

    let root: Root = "s3://faces/kept/chips".parse().unwrap();
    let kept = KeptChips::new(root, objects(server.variables(), LIMITS)).unwrap();
    assert_eq!(kept.contents().await.unwrap(), [hash]);
    let other = ContentHash::of(b"another photo");
    assert_eq!(kept.remove(&[other, hash]).await.unwrap(), 1);
    assert_eq!(cache.has(&SELECTION, hash).await, Some(false));
    assert_eq!(kept.contents().await.unwrap(), []);
}

#[tokio::test]
async fn a_bucket_that_is_out_of_reach_is_as_if_it_were_empty() {
    let address = format!("http://127.0.0.1:{CLOSED_PORT}");
    let nobody = variables(&[
        ("AWS_ENDPOINT_URL", &address),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_REGION", "us-east-1"),
    ]);
    let (cache, found) = (cache(nobody), found());
    write(&cache, &found).await;
    assert!(cache.entry(&SELECTION, &found).is_none(), "it is left alone for a while");
    assert_eq!(cache.read(&SELECTION, found.content.hash).await, None);
    assert_eq!(cache.has(&SELECTION, found.content.hash).await, None, "it cannot be asked");
}
