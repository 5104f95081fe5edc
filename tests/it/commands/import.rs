//! `facefleet model import`: reads what the graph contains, asks for the rest, and leaves nothing
//! behind when it fails.

use std::fs;
use std::path::{Path, PathBuf};

use facefleet::inference::onnx::ModelProto;
use prost::Message;
use sha2::{Digest, Sha256};

use super::{Run, Sandbox};
use crate::support::networks::{Flattening, Network, View, iresnet, lresnet100e_ir};
use crate::support::tape::{Stored, Style};

/// InsightFace's.
const TOLD: [&str; 8] =
    ["--channels", "rgb", "--mean", "127.5", "--scale", "0.0078431", "--dropout", "0.4"];

fn of_mxnet() -> Vec<u8> {
    lresnet100e_ir(Style::mxnet(), Flattening::Flatten, 0.4).file()
}

fn of_pytorch() -> Network {
    iresnet(Style::pytorch(13), View::Computed)
}

fn model(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let mut command = sandbox.command(&[&["model"], arguments].concat());
    Run::of(command.env("FACEFLEET__MODELS__DIR", sandbox.path("models")).output().unwrap())
}

/// A sandbox with an empty folder of models and `bytes` as a file to import.
fn sandbox(file: &str, bytes: &[u8]) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("models")).unwrap();
    sandbox.write(file, bytes);
    sandbox
}

/// All files and folders below the folder of models.
fn tree(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![sandbox.path("models")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

#[track_caller]
fn refused(run: &Run, reasons: &[&str]) {
    run.ended(1);
    for reason in reasons {
        assert!(run.err.contains(reason), "no {reason} in: {}", run.err);
    }
}

#[test]
fn what_the_graph_contains_is_read_and_printed() {
    let bytes = of_mxnet();
    let sandbox = sandbox("Arc Face.onnx", &bytes);
    let run = model(
        &sandbox,
        &["import", "Arc Face.onnx", "--channels", "rgb", "--licence", "Apache-2.0"],
    );
    run.ended(0);
    for line in [
        "arc-face: imported",
        "operator set 8",
        "input 'data': 112 x 112, RGB",
        "by the graph (Sub '_minusscalar0', Mul '_mulscalar0'); pixels go in as 0..255",
        "embedding: 16 dimensions of 392 features, from Gemm 'pre_fc1'",
        "dropout 0.4: from the graph",
        "facefleet calibrate",
        "licence: Apache-2.0",
        "self-test: distance",
    ] {
        assert!(run.out.contains(line), "no {line} in: {}", run.out);
    }
    let manifest = fs::read_to_string(sandbox.path("models/arc-face.toml")).unwrap();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(manifest.contains(&digest), "{manifest}");
    let run = model(&sandbox, &["prepare", "arc-face"]);
    run.ended(0);
    assert!(run.out.contains("arc-face: up to date"), "{}", run.out);
    let run = model(&sandbox, &["list"]);
    assert!(
        run.out.contains("licence: Apache-2.0") && run.out.contains("  prepared"),
        "{}",
        run.out
    );
    assert!(
        tree(&sandbox).iter().all(|path| !path.to_string_lossy().contains(".import")),
        "{:?}",
        tree(&sandbox)
    );
}

#[test]
fn what_the_graph_does_not_contain_is_asked_for_all_at_once() {
    let sandbox = sandbox("a.onnx", &of_mxnet());
    let run = model(&sandbox, &["import", "a.onnx"]);
    refused(&run, &["--channels rgb"]);
    assert!(
        !run.err.contains("--mean") && !run.err.contains("--dropout"),
        "the graph tells these: {}",
        run.err
    );
    sandbox.write("b.onnx", &of_pytorch().file());
    refused(
        &model(&sandbox, &["import", "b.onnx"]),
        &["--channels rgb", "--mean 127.5", "--scale 0.0078", "--dropout 0.4"],
    );
    assert!(tree(&sandbox).is_empty(), "{:?}", tree(&sandbox));
}

#[test]
fn wrong_words_and_numbers_are_refused_and_leave_nothing() {
    let sandbox = sandbox("b.onnx", &of_pytorch().file());
    model(&sandbox, &["import", "b.onnx", "--channels", "gbr"]).ended(2);
    let with = |flag: &str, value: &str| {
        let mut arguments = vec!["import", "b.onnx"];
        arguments.extend(TOLD);
        if let Some(at) = arguments.iter().position(|argument| *argument == flag) {
            arguments.drain(at..at + 2);
        }
        arguments.extend([flag, value]);
        model(&sandbox, &arguments)
    };
    refused(&with("--dropout", "5"), &["dropout ratio of 5"]);
    refused(&with("--scale", "0"), &["`scale`"]);
    refused(&with("--alpha", "-3"), &["`alpha`"]);
    refused(&with("--name", "../b"), &["'../b' is not a name"]);
    // All pixels become nearly the same number.
    refused(&with("--scale", "1e-30"), &["the same embedding", "--scale"]);
    assert!(tree(&sandbox).is_empty(), "{:?}", tree(&sandbox));
}

#[test]
fn a_file_that_is_not_a_model_is_refused_with_the_reason() {
    let sandbox = sandbox("text.onnx", b"This is not a network.\n");
    sandbox.write(
        "pointer.onnx",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:f3a6\nsize 261036388\n",
    );
    sandbox.write("page.onnx", b"<!DOCTYPE html><title>404</title>");
    sandbox.write("empty.onnx", b"");
    sandbox.write("zoo.tar.gz", &[0x1F, 0x8B, 8, 0]);
    let file = of_mxnet();
    sandbox.write("cut.onnx", &file[..file.len() / 2]);
    for (name, reason) in [
        ("text.onnx", "not an ONNX file"),
        ("pointer.onnx", "git lfs pull"),
        ("page.onnx", "web page"),
        ("empty.onnx", "empty"),
        ("zoo.tar.gz", "unpack"),
        ("cut.onnx", "not an ONNX file"),
        ("missing.onnx", "No such file"),
        ("photos", "cannot read"),
    ] {
        refused(&model(&sandbox, &["import", name, "--channels", "rgb"]), &[name, reason]);
    }
    assert!(tree(&sandbox).is_empty(), "{:?}", tree(&sandbox));
}

#[test]
fn a_second_import_is_refused_unless_forced() {
    let sandbox = sandbox("a.onnx", &of_mxnet());
    model(&sandbox, &["import", "a.onnx", "--channels", "rgb"]).ended(0);
    let before = (tree(&sandbox), fs::read(sandbox.path("models/a.toml")).unwrap());
    refused(
        &model(&sandbox, &["import", "a.onnx", "--channels", "bgr"]),
        &["a.toml exists", "--force"],
    );
    refused(&model(&sandbox, &["import", "a.onnx"]), &["a.toml exists", "in place"]);
    let other = of_pytorch().file();
    sandbox.write("other.onnx", &other);
    let mut arguments = vec!["import", "other.onnx", "--name", "a"];
    arguments.extend(TOLD);
    refused(&model(&sandbox, &arguments), &["names another file", "--force"]);
    assert_eq!(before, (tree(&sandbox), fs::read(sandbox.path("models/a.toml")).unwrap()));

    model(&sandbox, &["import", "a.onnx", "--channels", "bgr", "--force"]).ended(0);
    assert!(fs::read_to_string(sandbox.path("models/a.toml")).unwrap().contains("\"bgr\""));
    arguments.push("--force");
    model(&sandbox, &arguments).ended(0);
    assert_eq!(fs::read(sandbox.path("models/fetched/a.onnx")).unwrap(), other);
}

#[test]
fn an_unsupported_node_and_a_newer_file_are_refused_with_the_files_name() {
    let mut published = ModelProto::decode(of_mxnet().as_slice()).unwrap();
    let sandbox = sandbox("new.onnx", b"");
    published.opset_import[0].version = 99;
    sandbox.write("new.onnx", &published.encode_to_vec());
    refused(
        &model(&sandbox, &["import", "new.onnx", "--channels", "rgb"]),
        &["new.onnx has operator set 99", "reads up to"],
    );
    published.opset_import[0].version = 8;
    published
        .graph
        .as_mut()
        .unwrap()
        .node
        .iter_mut()
        .find(|node| node.name == "_minusscalar0")
        .unwrap()
        .op_type = "Foo".into();
    sandbox.write("foo.onnx", &published.encode_to_vec());
    let run = model(&sandbox, &["import", "foo.onnx", "--channels", "rgb"]);
    refused(&run, &["foo.onnx cannot be imported: node '_minusscalar0' (Foo): neither"]);
    assert!(tree(&sandbox).is_empty(), "{:?}", tree(&sandbox));
}

#[test]
fn a_published_file_that_onnx_runtime_cannot_run_is_not_an_error() {
    let sandbox = sandbox("a.onnx", &of_mxnet());
    let run = model(&sandbox, &["import", "a.onnx", "--channels", "rgb"]);
    run.ended(0);
    assert_eq!(run.err, "");
}

#[test]
fn weights_in_a_second_file_are_imported_too() {
    let network = iresnet(
        Style { stored: Stored::External("model.onnx.data"), ..Style::pytorch(17) },
        View::Flatten,
    );
    let sandbox = sandbox("model.onnx", &network.file());
    let mut arguments = vec!["import", "model.onnx", "--name", "large"];
    arguments.extend(TOLD);
    refused(&model(&sandbox, &arguments), &["model.onnx.data"]);
    assert!(tree(&sandbox).is_empty(), "{:?}", tree(&sandbox));
    sandbox.write("model.onnx.data", &network.tape.external);
    model(&sandbox, &arguments).ended(0);
    assert!(sandbox.path("models/fetched/large/model.onnx.data").exists());
    model(&sandbox, &["prepare", "large", "--again"]).ended(0);
    fs::write(sandbox.path("models/fetched/large/model.onnx.data"), b"other").unwrap();
    refused(&model(&sandbox, &["prepare", "large", "--again"]), &["model.onnx.data", "sha256"]);
}

#[test]
fn a_file_that_a_manifest_names_is_put_in_its_place() {
    let file = of_mxnet();
    let sandbox = sandbox("downloaded.onnx", &file);
    // Like `models/lresnet100e-ir.toml` of the repository, for another file.
    let manifest = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models/lresnet100e-ir.toml"),
    )
    .unwrap();
    let digest: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    let manifest = manifest
        .lines()
        .map(|line| match line.split(' ').next() {
            Some("sha256") => format!("sha256 = \"{digest}\"\n"),
            Some("embedding") => "embedding = 16\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect::<String>();
    sandbox.write("models/lresnet100e-ir.toml", manifest.as_bytes());
    let run = model(&sandbox, &["list"]);
    assert!(run.out.contains("facefleet model import arcfaceresnet100-8.onnx"), "{}", run.out);
    refused(
        &model(&sandbox, &["prepare", "lresnet100e-ir"]),
        &["facefleet model import arcfaceresnet100-8.onnx"],
    );

    let run = model(&sandbox, &["import", "downloaded.onnx"]);
    run.ended(0);
    assert!(
        run.out.contains("lresnet100e-ir: imported") && run.out.contains("known by its sha256"),
        "{}",
        run.out
    );
    assert_eq!(
        fs::read_to_string(sandbox.path("models/lresnet100e-ir.toml")).unwrap(),
        manifest,
        "the manifest stays as it is"
    );
    assert!(sandbox.path("models/fetched/arcfaceresnet100-8.onnx").exists());
    model(&sandbox, &["prepare", "lresnet100e-ir"]).ended(0);

    sandbox.write("models/fetched/arcfaceresnet100-8.onnx", b"damaged");
    model(&sandbox, &["import", "downloaded.onnx"]).ended(0);
    assert_eq!(fs::read(sandbox.path("models/fetched/arcfaceresnet100-8.onnx")).unwrap(), file);
}

/// Imports `file` with all that no graph contains.
fn import(sandbox: &Sandbox, file: &str, more: &[&str]) -> Run {
    model(sandbox, &[&["import", file][..], &TOLD[..], more].concat())
}

#[test]
fn weights_that_another_manifest_names_are_never_replaced() {
    let sandbox = sandbox("w600k_r50.onnx", &of_pytorch().file());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/w600k-r50.toml");
    fs::copy(manifest, sandbox.path("models/w600k-r50.toml")).unwrap();
    let place = sandbox.path("models/fetched/w600k_r50.onnx");
    fs::create_dir(sandbox.path("models/fetched")).unwrap();
    fs::write(&place, b"theirs").unwrap();
    let before = tree(&sandbox);
    let reasons = ["fetched/w600k_r50.onnx", "model 'w600k-r50'", "--name"];
    refused(&import(&sandbox, "w600k_r50.onnx", &[]), &reasons);
    refused(&import(&sandbox, "w600k_r50.onnx", &["--force"]), &reasons);
    assert_eq!(tree(&sandbox), before);
    fs::remove_file(&place).unwrap();
    refused(&import(&sandbox, "w600k_r50.onnx", &[]), &reasons);

    fs::write(&place, b"theirs").unwrap();
    import(&sandbox, "w600k_r50.onnx", &["--name", "mine"]).ended(0);
    assert_eq!(fs::read(&place).unwrap(), b"theirs");
}

#[test]
fn a_file_that_no_manifest_names_is_replaced_only_with_force() {
    let file = of_pytorch().file();
    let sandbox = sandbox("b.onnx", &file);
    fs::create_dir(sandbox.path("models/fetched")).unwrap();
    sandbox.write("models/fetched/b.onnx", b"mine");
    let before = tree(&sandbox);
    refused(&import(&sandbox, "b.onnx", &[]), &["fetched/b.onnx exists", "--name", "--force"]);
    assert_eq!(tree(&sandbox), before);
    assert_eq!(fs::read(sandbox.path("models/fetched/b.onnx")).unwrap(), b"mine");
    import(&sandbox, "b.onnx", &["--force"]).ended(0);
    assert_eq!(fs::read(sandbox.path("models/fetched/b.onnx")).unwrap(), file);
}

#[test]
fn weights_cannot_be_in_the_onnx_file_itself() {
    let network = iresnet(
        Style { stored: Stored::External("model.onnx"), ..Style::pytorch(17) },
        View::Flatten,
    );
    let sandbox = sandbox("model.onnx", &network.file());
    refused(
        &import(&sandbox, "model.onnx", &[]),
        &["weights in 'model.onnx', the ONNX file itself"],
    );
    assert!(tree(&sandbox).is_empty(), "{:?}", tree(&sandbox));
}

#[test]
fn terminal_control_sequences_of_the_file_are_escaped() {
    let mut published = ModelProto::decode(of_mxnet().as_slice()).unwrap();
    published.producer_name = "somebody\x1b[31m".into();
    let sandbox = sandbox("a.onnx", &published.encode_to_vec());
    let run = model(&sandbox, &["import", "a.onnx", "--channels", "rgb"]);
    run.ended(0);
    assert!(
        run.out.contains("written by somebody\\u{1b}[31m") && !run.out.contains('\x1b'),
        "{:?}",
        run.out
    );
}
