//! Any ArcFace-style network can be prepared: the heads that training frameworks export are found,
//! and the prepared graph computes the same embedding as the published one, and the closed form.

mod dialects;
mod external_weights;
mod refusals;

use facefleet::domain::Precision;
use facefleet::inference::onnx::{ModelProto, OnnxError, TensorProto, data_type};
use facefleet::inference::prepare::{
    self, Outputs, PrepareError, PreparedRecogniser, Target, Variant, names, prepare_recogniser,
};
use facefleet::inference::runtime::Network;
use facefleet::quality::closed_form::ClosedForm;

use crate::support::graphs::{Builder, CHANNELS, EMBEDDING, FEATURES, manifest, numbers};
use crate::support::runtime;

const CHIP_VALUES: usize = 3 * 112 * 112;
const OUTPUTS: [&str; 3] = [names::EMBEDDING, names::DISTANCE, names::FEATURES];

fn open(model: &[u8]) -> Network {
    runtime().open("small", model, 1).unwrap()
}

fn prepare(published: &[u8], dropout: Option<f64>) -> Result<PreparedRecogniser, PrepareError> {
    prepare_recogniser(published, &manifest(EMBEDDING, dropout), Target::Cpu, Outputs::Quality)
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let norm = expected.iter().map(|value| value * value).sum::<f32>().sqrt();
    let error = found.iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    assert!(norm > 0.0 && error <= 1e-5 * norm, "{what}: off by {error} of {norm}");
}

/// Prepares `published` and compares it with `reference`, a graph that computes the same.
fn check(
    published: &[u8],
    reference: &[u8],
    manifest_dropout: Option<f64>,
    expected_dropout: f64,
) -> PreparedRecogniser {
    let prepared = prepare(published, manifest_dropout).unwrap();
    assert_eq!(prepared.head.dropout(), expected_dropout);
    assert_eq!(prepared.dropout_in_graph, manifest_dropout.is_none());
    assert_eq!(prepared.head.weights().dim(), (EMBEDDING, FEATURES));
    let bytes = prepare::encode(&prepared.model);
    assert_eq!(
        bytes,
        prepare::encode(&prepare(published, manifest_dropout).unwrap().model),
        "the same input gives the same file"
    );

    let graph = prepared.model.graph.as_ref().unwrap();
    assert_eq!(graph.output.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), OUTPUTS);
    assert_eq!(graph.input.len(), 1);
    assert_eq!(graph.input[0].dims(), [None, Some(3), Some(112), Some(112)]);
    assert!(graph.output.iter().all(|output| output.dims()[0].is_none()), "the batch is free");

    let (mut original, mut network) = (open(reference), open(&bytes));
    let output = original.outputs()[0].clone();
    let chips = numbers(77, 3 * CHIP_VALUES);
    let batch = network.run(&[(&[3, 3, 112, 112], &chips)], &OUTPUTS).unwrap();
    assert_eq!(batch[1].shape, [3]);
    assert_eq!(batch[2].shape, [3, FEATURES as i64]);
    let closed_form = ClosedForm::new(&prepared.head);
    for (n, chip) in chips.chunks_exact(CHIP_VALUES).enumerate() {
        let input: (&[usize], &[f32]) = (&[1, 3, 112, 112], chip);
        let expected = original.run(&[input], &[&output]).unwrap();
        let single = network.run(&[input], &OUTPUTS).unwrap();
        assert_close(
            &single[0].values,
            &expected[0].values,
            "embedding against the published graph's",
        );
        let distance = single[1].values[0];
        let reference = closed_form.distance(single[2].values.as_slice().into());
        assert!(reference > 0.01, "{reference}");
        assert!(
            (f64::from(distance) / reference - 1.0).abs() < 1e-5,
            "distance {distance}, closed form {reference}"
        );
        for (of_batch, of_single) in batch.iter().zip(&single) {
            let row = of_single.values.len();
            assert_close(
                &of_batch.values[n * row..(n + 1) * row],
                &of_single.values,
                "a chip of a batch against itself alone",
            );
        }
    }
    prepared
}

fn check_itself(
    builder: Builder,
    manifest_dropout: Option<f64>,
    expected_dropout: f64,
) -> PreparedRecogniser {
    let published = builder.build();
    check(&published, &published, manifest_dropout, expected_dropout)
}

#[test]
fn the_head_of_sface_is_found() {
    let graph = Builder::new(21)
        .batch_norm("bn", CHANNELS)
        .dropout_input(0.4)
        .flatten()
        .gemm()
        .batch_norm("out", EMBEDDING);
    check_itself(graph, None, 0.4);
}

#[test]
fn the_head_of_lresnet100e_from_mxnet_is_found() {
    let graph = || Builder::new(8).batch_norm("bn", CHANNELS).dropout_attribute(0.35);
    check_itself(graph().reshape().gemm().batch_norm("out", EMBEDDING), None, 0.35);
    check_itself(graph().flatten().gemm().batch_norm("out", EMBEDDING), None, 0.35);
}

#[test]
fn the_head_of_iresnet_from_pytorch_is_found_and_its_dropout_is_the_manifests() {
    let graph =
        Builder::new(17).batch_norm("bn", CHANNELS).flatten().gemm().batch_norm("out", EMBEDDING);
    check_itself(graph, Some(0.25), 0.25);
}

#[test]
fn a_last_layer_in_two_nodes_is_found() {
    check_itself(Builder::new(13).dropout_input(0.5).flatten().matmul_add(), None, 0.5);
    check_itself(
        Builder::new(13).flatten().matmul_add().batch_norm("out", EMBEDDING),
        Some(0.4),
        0.4,
    );
}

#[test]
fn prelu_is_written_out_for_the_cpu_even_with_slopes_over_1() {
    let graph = || Builder::new(13).prelu().dropout_input(0.4).flatten().gemm();
    let has_prelu = |prepared: &PreparedRecogniser| {
        prepared.model.graph.as_ref().unwrap().node.iter().any(|node| node.op_type == "PRelu")
    };
    assert!(!has_prelu(&check_itself(graph(), None, 0.4)));
    let for_gpu = prepare_recogniser(
        &graph().build(),
        &manifest(EMBEDDING, None),
        Target::Gpu,
        Outputs::Quality,
    )
    .unwrap();
    assert!(has_prelu(&for_gpu));
}

#[test]
fn weights_quantised_in_blocks_become_floats() {
    let (blocked, plain) = Builder::quantised(21);
    let tail = |graph: Builder| graph.dropout_input(0.4).flatten().gemm().build();
    let prepared = check(&tail(blocked), &tail(plain), None, 0.4);
    assert!(
        prepared.model.graph.unwrap().node.iter().all(|node| node.op_type != "DequantizeLinear")
    );
}

#[test]
fn the_graphs_own_dropout_goes_before_the_manifests() {
    let published = Builder::new(13).dropout_input(0.4).flatten().gemm().build();
    let prepared = prepare(&published, Some(0.1)).unwrap();
    assert_eq!(prepared.head.dropout(), 0.4);
    assert!(prepared.dropout_in_graph);
}

#[test]
fn the_error_about_a_graph_without_a_head_says_what_was_expected_and_found() {
    let published =
        Builder::new(13).flatten().gemm().step("Sigmoid", "probability", Vec::new()).build();
    let error = prepare(&published, Some(0.4)).unwrap_err();
    let PrepareError::NoHead { expected, found } = &error else { panic!("{error:?}") };
    assert!(
        expected.contains("Gemm") && found.contains("Sigmoid 'probability' -> output"),
        "{error}"
    );
    assert!(error.to_string().contains(expected) && error.to_string().contains(found), "{error}");
}

#[test]
fn a_graph_and_a_manifest_without_dropout_are_refused() {
    let published = Builder::new(13).flatten().gemm().build();
    let error = prepare(&published, None).unwrap_err();
    assert!(matches!(error, PrepareError::NoDropout), "{error:?}");
    assert!(error.to_string().contains("`dropout`"), "{error}");
}

#[test]
fn another_embedding_than_the_manifests_is_refused() {
    let published = Builder::new(13).dropout_input(0.4).flatten().gemm().build();
    let error = prepare_recogniser(&published, &manifest(512, None), Target::Cpu, Outputs::Quality)
        .unwrap_err();
    assert!(matches!(error, PrepareError::Mismatch { what: "embedding", .. }), "{error:?}");
    assert!(
        error.to_string().contains("512") && error.to_string().contains(&EMBEDDING.to_string()),
        "{error}"
    );
}

#[test]
fn a_model_with_a_part_that_preparing_would_lose_is_refused() {
    let published = Builder::new(13).dropout_input(0.4).flatten().gemm().build();
    // Protocol buffers merge concatenated messages. Field 25 of a model is a function. Fields 7, 5,
    // 14 are the location of a weight's values, and 1 is another file.
    for (appended, what) in
        [(&[0xCA, 0x01, 0x00][..], "functions"), (&[0x3A, 4, 0x2A, 2, 0x70, 1][..], "second file")]
    {
        let error = prepare(&[&published, appended].concat(), None).unwrap_err();
        assert!(matches!(error, PrepareError::Onnx(OnnxError::Unsupported(..))), "{error:?}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn bytes_that_are_not_a_model_are_refused() {
    for bytes in [&b"<!DOCTYPE html><title>404</title>"[..], b"", &[0xFF; 64]] {
        let error = prepare(bytes, Some(0.4)).unwrap_err();
        assert!(matches!(error, PrepareError::Onnx(_)), "{error:?}");
    }
    let cut = Builder::new(13).dropout_input(0.4).flatten().gemm().build();
    let error = prepare(&cut[..cut.len() / 2], None).unwrap_err();
    assert!(error.to_string().contains("not an ONNX file"), "{error}");
}

#[test]
fn an_operator_set_older_than_7_is_refused_by_its_number() {
    let error = prepare(&Builder::new(6).dropout_attribute(0.4).flatten().gemm().build(), None)
        .unwrap_err();
    assert!(
        error.to_string().contains("operator set 6")
            && error.to_string().contains("operator set 8"),
        "{error}"
    );
}

#[test]
fn the_head_can_be_read_back_from_the_prepared_file() {
    let published =
        Builder::new(13).dropout_input(0.4).flatten().gemm().batch_norm("out", EMBEDDING).build();
    let prepared = prepare(&published, None).unwrap();
    let read =
        prepare::read_head(&ModelProto::read(&prepare::encode(&prepared.model)).unwrap(), 0.4)
            .unwrap();
    assert_eq!((read.weights(), read.bias()), (prepared.head.weights(), prepared.head.bias()));
}

fn prepare_half(published: &[u8]) -> Result<PreparedRecogniser, PrepareError> {
    let half = Variant { target: Target::Gpu, precision: Precision::Half };
    prepare_recogniser(published, &manifest(EMBEDDING, Some(0.4)), half, Outputs::Quality)
}

#[test]
fn in_half_precision_the_backbone_alone_has_16_bits_and_the_answer_is_close() {
    // A normalisation that is folded into the convolution, one without a convolution before it, and
    // each kind of head.
    let body =
        |opset| Builder::new(opset).batch_norm("bn", CHANNELS).prelu().batch_norm("bn2", CHANNELS);
    for published in [
        body(13).dropout_input(0.4).flatten().gemm().build(),
        body(8).dropout_attribute(0.4).reshape().gemm().batch_norm("out", EMBEDDING).build(),
        Builder::quantised(21).0.flatten().matmul_add().build(),
    ] {
        let (full, half) =
            (prepare(&published, Some(0.4)).unwrap(), prepare_half(&published).unwrap());
        let graph = half.model.graph.as_ref().unwrap();
        let kinds = |name: &str| {
            graph
                .initializer
                .iter()
                .find(|tensor| tensor.name == name)
                .map(|tensor| tensor.data_type)
        };
        assert_eq!(
            (kinds(names::WEIGHTS), kinds(names::BIAS)),
            (Some(data_type::FLOAT), Some(data_type::FLOAT))
        );
        let convolution = graph.node.iter().find(|node| node.op_type == "Conv").unwrap();
        assert_eq!(kinds(&convolution.input[1]), Some(data_type::FLOAT16));
        let norms = graph.node.iter().filter(|node| node.op_type == "BatchNormalization").count();
        assert!(norms <= 1, "the first is in the convolution's weights");

        let (mut full, mut half) =
            (open(&prepare::encode(&full.model)), open(&prepare::encode(&half.model)));
        let chips = numbers(78, 2 * CHIP_VALUES);
        let input: (&[usize], &[f32]) = (&[2, 3, 112, 112], &chips);
        let (expected, found) =
            (full.run(&[input], &OUTPUTS).unwrap(), half.run(&[input], &OUTPUTS).unwrap());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.shape, expected.shape);
            let norm = expected.values.iter().map(|value| value * value).sum::<f32>().sqrt();
            let error = found
                .values
                .iter()
                .zip(&expected.values)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f32>()
                .sqrt();
            // Half precision keeps eleven bits. An error of zero would mean that it was not used.
            assert!(error > 1e-6 * norm && error < 2e-3 * norm, "off by {error} of {norm}");
        }
    }
}

#[test]
fn a_model_that_half_precision_cannot_represent_is_refused() {
    let published = Builder::new(13).step("Softplus", "soft", Vec::new()).flatten().gemm().build();
    let error = prepare_half(&published).unwrap_err();
    assert!(error.to_string().contains("Softplus in half precision"), "{error}");

    let large = TensorProto::floats("large", &[1], &[70_000.0]);
    let published = Builder::new(13).step("Mul", "scaled", vec![large]).flatten().gemm().build();
    let error = prepare_half(&published).unwrap_err();
    assert!(
        error.to_string().contains("'large'") && error.to_string().contains("65504"),
        "{error}"
    );
}
