//! The manifests in models/, and invalid ones.

use super::*;

const SFACE: &str = include_str!("../../../models/sface-2021dec.toml");
const YUNET: &str = include_str!("../../../models/yunet-2023mar.toml");
const MTCNN: &str = include_str!("../../../models/mtcnn.toml");

#[test]
fn the_manifests_of_the_default_models_are_valid() {
    let sface = Manifest::parse("sface-2021dec", SFACE).unwrap();
    assert_eq!(sface.recogniser().unwrap().embedding, 128);
    assert_eq!(Manifest::parse("yunet-2023mar", YUNET).unwrap().role, Role::Detector);
}

#[test]
fn the_manifests_of_models_that_people_bring_are_valid() {
    let lresnet =
        Manifest::parse("lresnet100e-ir", include_str!("../../../models/lresnet100e-ir.toml"))
            .unwrap();
    let w600k =
        Manifest::parse("w600k-r50", include_str!("../../../models/w600k-r50.toml")).unwrap();
    assert_eq!((lresnet.input.mean, lresnet.input.scale), (0.0, 1.0), "its graph normalises");
    assert!(
        (w600k
            .input
            .values(&[Chip::synthetic()])
            .iter()
            .fold(0.0_f32, |most, &value| most.max(value.abs())))
            <= 1.0
    );
    assert!(w600k.licence.contains("non-commercial"), "{}", w600k.licence);
}

#[test]
fn data_files_are_part_of_the_identity() {
    let data = |digit: &str| {
        format!("data = [{{ file = \"w.data\", sha256 = \"{}\" }}]\n{SFACE}", digit.repeat(64))
    };
    let (one, two) =
        (Manifest::parse("x", &data("1")).unwrap(), Manifest::parse("x", &data("2")).unwrap());
    let alone = Manifest::parse("x", SFACE).unwrap();
    assert_eq!(one.file_sha256, alone.sha256);
    assert_ne!(one.sha256, two.sha256);
    assert_ne!(one.sha256, alone.sha256);
}

#[test]
fn a_typo_is_named() {
    let error = Manifest::parse("x", &SFACE.replace("alpha", "alhpa")).unwrap_err();
    assert!(error.contains("alpha"), "{error}");
    let error = Manifest::parse("x", &SFACE.replace("licence", "license")).unwrap_err();
    assert!(error.contains("license"), "{error}");
    let error = Manifest::parse("x", &SFACE.replace("width = 112", "width = 96")).unwrap_err();
    assert!(error.contains("112"), "{error}");
}

#[test]
fn a_manifest_may_say_what_counts_as_a_match() {
    let thresholds = |similarity: &str| {
        format!(
            "{SFACE}\n[[recogniser.thresholds]]\ntemplates = \"0123456789abcdef\"\n\
             data = \"a set\"\nphotos = 9\nsubjects = 3\nmated = 9\nnon_mated = 27\n\
             similarity = [{similarity}]\n"
        )
    };
    let text = thresholds("{ fmr = 1e-1, threshold = 0.2 }, { fmr = 5e-2, threshold = 0.3 }");
    let manifest = Manifest::parse("x", &text).unwrap();
    let read = manifest.recogniser().unwrap().thresholds.last().unwrap();
    assert_eq!((read.data.as_str(), read.similarity[1].threshold), ("a set", 0.3));
    let error = Manifest::parse("x", &thresholds("{ fmr = 1e-1, threshold = 20 }")).unwrap_err();
    assert!(error.contains("cosine"), "{error}");
    let error = Manifest::parse("x", &text.replace("templates = \"0123", "# \"0123")).unwrap_err();
    assert!(error.contains("needs `templates`"), "{error}");
}

#[test]
fn a_cascade_is_three_networks_with_one_identity() {
    let mtcnn = Manifest::parse("mtcnn", MTCNN).unwrap();
    let names: Vec<&str> = mtcnn.networks().iter().map(|network| network.name.as_str()).collect();
    assert_eq!(names, ["mtcnn.p", "mtcnn.r", "mtcnn.o"]);
    assert!(mtcnn.networks().iter().all(|network| network.model() == "mtcnn"));
    let mut other = MTCNN.to_owned();
    let digest = &mtcnn.networks()[2].sha256;
    other = other.replace(digest.as_str(), &"0".repeat(64));
    assert_ne!(
        Manifest::parse("mtcnn", &other).unwrap().sha256,
        mtcnn.sha256,
        "the last network is part of the identity"
    );
    let yunet = Manifest::parse("yunet", YUNET).unwrap();
    assert_eq!(yunet.networks(), std::slice::from_ref(&yunet));
}

#[test]
fn a_cascade_without_its_files_is_refused() {
    let missing = MTCNN.replace("[cascade]", "[cascades]");
    assert!(Manifest::parse("x", &missing).unwrap_err().contains("cascades"));
    let error = Manifest::parse("x", &MTCNN.replace("kind = \"mtcnn\"", "")).unwrap_err();
    assert!(error.contains("[cascade]"), "{error}");
    let error = Manifest::parse("x", &YUNET.replace("role", "kind = \"mtcnn\"\nrole")).unwrap_err();
    assert!(error.contains("[cascade]"), "{error}");
}
