//! The known operators and operator sets. A node with an unknown operator is refused by name before
//! the graph is analysed: otherwise the error would be about the nodes after it.

use super::graph::Graph;
use crate::inference::onnx::{NodeProto, OnnxError};

/// The newest operator set in [`STANDARD`]. Operators of a newer set are left to ONNX Runtime.
const NEWEST: i64 = 26;

/// The operators of the ONNX standard, and those that ONNX Runtime adds to its domain, each with
/// its first operator set. From the schemas of ONNX Runtime 1.26.
const STANDARD: &str = "
    Abs:1 Acos:7 Acosh:9 Add:1 Affine:1 AffineGrid:20 And:1 ArgMax:1 ArgMin:1 Asin:7 Asinh:9 \
    Atan:7 Atanh:9 Attention:23
    AveragePool:1 BatchNormalization:1 Bernoulli:15 BitCast:26 BitShift:11 BitwiseAnd:18 \
    BitwiseNot:18 BitwiseOr:18
    BitwiseXor:18 BlackmanWindow:17 Cast:1 CastLike:15 Ceil:1 Celu:12 CenterCropPad:18 Clip:1 \
    Col2Im:18 Compress:9 Concat:1
    ConcatFromSequence:11 Constant:1 ConstantOfShape:9 Conv:1 ConvInteger:10 ConvTranspose:1 Cos:7 \
    Cosh:9 Crop:1 CumProd:26
    CumSum:11 DFT:17 DeformConv:19 DepthToSpace:1 DequantizeLinear:10 Det:11 \
    DisentangledAttention_TRT:1 Div:1 Dropout:1
    DynamicQuantizeLinear:11 DynamicSlice:1 EfficientNMS_TRT:1 Einsum:12 Elu:1 Equal:1 Erf:9 Exp:1 \
    Expand:8 EyeLike:9 Flatten:1
    Floor:1 GRU:1 GRUUnit:1 Gather:1 GatherElements:11 GatherND:11 Gelu:20 Gemm:1 \
    GivenTensorFill:1 GlobalAveragePool:1
    GlobalLpPool:1 GlobalMaxPool:1 Greater:1 GreaterOrEqual:12 GridSample:16 GroupNormalization:18 \
    HammingWindow:17
    HannWindow:17 HardSigmoid:1 HardSwish:14 Hardmax:1 Identity:1 If:1 ImageDecoder:20 \
    ImageScaler:1 InstanceNormalization:1
    IsInf:10 IsNaN:9 LRN:1 LSTM:1 LayerNormalization:1 LeakyRelu:1 Less:1 LessOrEqual:12 Log:1 \
    LogSoftmax:1 Loop:1
    LpNormalization:1 LpPool:1 MatMul:1 MatMulInteger:10 Max:1 MaxPool:1 MaxRoiPool:1 MaxUnpool:9 \
    Mean:1
    MeanVarianceNormalization:1 MelWeightMatrix:17 MemcpyFromHost:1 MemcpyToHost:1 Min:1 Mish:18 \
    Mod:10 Mul:1
    MultilevelCropAndResize_TRT:1 Multinomial:7 Neg:1 NegativeLogLikelihoodLoss:12 \
    NonMaxSuppression:10 NonZero:9 Not:1 OneHot:9
    Optional:15 OptionalGetElement:15 OptionalHasElement:15 Or:1 PRelu:1 Pad:1 \
    ParametricSoftplus:1 Pow:1 PyramidROIAlign_TRT:1
    QLinearConv:10 QLinearMatMul:10 QuantizeLinear:10 RMSNormalization:23 RNN:1 RandomNormal:1 \
    RandomNormalLike:1
    RandomUniform:1 RandomUniformLike:1 Range:11 Reciprocal:1 ReduceL1:1 ReduceL2:1 ReduceLogSum:1 \
    ReduceLogSumExp:1 ReduceMax:1
    ReduceMean:1 ReduceMin:1 ReduceProd:1 ReduceSum:1 ReduceSumSquare:1 RegexFullMatch:20 Relu:1 \
    Reshape:1 Resize:10
    ReverseSequence:10 RoiAlign:10 RotaryEmbedding:23 Round:11 STFT:17 Scale:1 ScaledTanh:1 Scan:8 \
    Scatter:9 ScatterElements:11
    ScatterND:11 Selu:1 SequenceAt:11 SequenceConstruct:11 SequenceEmpty:11 SequenceErase:11 \
    SequenceInsert:11 SequenceLength:11
    SequenceMap:17 Shape:1 Shrink:9 Sigmoid:1 Sign:9 SimplifiedLayerNormalization:1 Sin:7 Sinh:9 \
    Size:1 Slice:1 Softmax:1
    SoftmaxCrossEntropyLoss:12 Softplus:1 Softsign:1 SpaceToDepth:1 Split:1 SplitToSequence:11 \
    Sqrt:1 Squeeze:1 StringConcat:20
    StringNormalizer:10 StringSplit:20 Sub:1 Sum:1 Swish:24 Tan:7 Tanh:1 TensorScatter:24 \
    TfIdfVectorizer:9 ThresholdedRelu:1
    Tile:1 TopK:1 Transpose:1 Trilu:14 Unique:11 Unsqueeze:1 Upsample:1 Where:9 Xor:1
";

/// The operators of the domain `com.microsoft` in ONNX Runtime 1.26.
const CONTRIBUTED: &str = "
    Attention AttnLSTM BeamSearch BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu \
    BifurcationDetector BitmaskBiasDropout
    BitmaskDropout CDist CausalConvWithState ComplexMul ComplexMulConj \
    ConvTransposeWithDynamicPads CropAndResize
    DecoderAttention DecoderMaskedMultiHeadAttention DecoderMaskedSelfAttention DequantizeBFP \
    DequantizeLinear
    DequantizeWithOrder DynamicQuantizeLSTM DynamicQuantizeMatMul DynamicTimeWarping EPContext \
    EmbedLayerNormalization
    ExpandDims FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation \
    GatedRelativePositionBias GatherBlockQuantized
    GatherND Gelu GemmFastGelu GemmFloat8 GemmaRotaryEmbedding GreedySearch GridSample GroupNorm \
    GroupQueryAttention Inverse
    Irfft IsAllFinite LinearAttention LongformerAttention MatMulBnb4 MatMulFpQ4 MatMulInteger16 \
    MatMulIntegerToFloat MatMulNBits
    MaxpoolWithMask MoE MulInteger MultiHeadAttention MurmurHash3 NGramRepeatBlock NhwcConv \
    NhwcFusedConv NhwcMaxPool
    PackedAttention PackedMultiHeadAttention Pad PagedAttention QAttention \
    QEmbedLayerNormalization QGemm QLinearAdd
    QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu \
    QLinearMul QLinearReduceMean
    QLinearSigmoid QLinearSoftmax QLinearWhere QMoE QOrderedAttention QOrderedGelu \
    QOrderedLayerNormalization
    QOrderedLongformerAttention QOrderedMatMul QuantizeBFP QuantizeLinear QuantizeWithOrder \
    QuickGelu Range ReduceSumInteger
    RelativePositionBias RemovePadding RestorePadding Rfft RotaryEmbedding SampleOp Sampling \
    SkipGroupNorm
    SkipLayerNormalization SkipSimplifiedLayerNormalization Snpe SparseAttention \
    SparseToDenseMatMul Tokenizer TorchEmbedding
    TransposeMatMul Trilu UnfoldTensor Unique WhisperBeamSearch WordConvEmbedding
";

const EXPORT: &str = "export the model with operators of the ONNX standard";

/// Refuses operator sets before 7, and declares 7 as 8.
///
/// # Errors
/// If the operator set is older than 7.
pub fn accept_opset(graph: &mut Graph) -> Result<(), OnnxError> {
    match graph.opset() {
        // Operator set 8 only allows more than set 7.
        7 => graph.set_opset(8),
        old @ ..7 => {
            let node = old_broadcast(graph).map_or_else(String::new, |node| {
                format!(" (node '{}', {}, broadcasts by attributes)", node.label(), node.op_type)
            });
            return Err(OnnxError::Unsupported(
                format!("operator set {old}{node}"),
                "operator set 8 or later",
            ));
        }
        _ => {}
    }
    Ok(())
}

/// The first node that broadcasts by attributes, as graphs before operator set 7 do. For the error.
fn old_broadcast(graph: &Graph) -> Option<&NodeProto> {
    let binary = |node: &&NodeProto| {
        matches!(node.op_type.as_str(), "Add" | "Sub" | "Mul" | "Div" | "PRelu" | "Pow" | "Gemm")
    };
    graph
        .nodes
        .iter()
        .filter(binary)
        .find(|node| node.attribute("broadcast").is_some() || node.attribute("axis").is_some())
}

/// Refuses a node whose operator ONNX Runtime does not have.
///
/// # Errors
/// The first such node.
pub fn check_operators(graph: &Graph) -> Result<(), OnnxError> {
    let opset = graph.opset();
    graph.nodes.iter().try_for_each(|node| check(node, opset))
}

fn check(node: &NodeProto, opset: i64) -> Result<(), OnnxError> {
    let op = node.op_type.as_str();
    let unknown = || {
        Err(node.error(format!(
            "neither the ONNX standard nor ONNX Runtime has this operator; {EXPORT}"
        )))
    };
    match node.domain.as_str() {
        "" | "ai.onnx" => match since(op) {
            Some(since) if since > opset => Err(node.error(format!(
                "this operator came with operator set {since}, and the file declares {opset}; \
                    export the model with operator set {since} or later"
            ))),
            None if opset <= NEWEST => unknown(),
            _ => Ok(()),
        },
        "com.microsoft" if CONTRIBUTED.split_whitespace().any(|name| name == op) => Ok(()),
        "com.microsoft" => unknown(),
        domain => {
            Err(node.error(format!("ONNX Runtime does not have its domain '{domain}'; {EXPORT}")))
        }
    }
}

/// The first operator set with this standard operator.
fn since(op: &str) -> Option<i64> {
    let mut listed = STANDARD.split_whitespace().filter_map(|entry| entry.split_once(':'));
    listed.find(|(name, _)| *name == op)?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(domain: &str, op: &str) -> NodeProto {
        NodeProto { domain: domain.to_owned(), ..NodeProto::new(op, &["x"], "y") }
    }

    #[test]
    fn operators_are_known_by_domain_and_operator_set() {
        for (domain, op, opset) in [
            ("", "Conv", 8),
            ("ai.onnx", "PRelu", 8),
            ("com.microsoft", "FusedConv", 8),
            ("", "New", 27),
        ] {
            assert!(check(&node(domain, op), opset).is_ok(), "{domain} {op}");
        }
        for (domain, op, opset, reason) in [
            ("", "Foo", 13, "neither the ONNX standard nor"),
            ("", "FusedConv", 13, "neither the ONNX standard nor"),
            ("com.microsoft", "Conv", 13, "neither the ONNX standard nor"),
            ("com.acme", "Conv", 13, "'com.acme'"),
            ("", "HardSwish", 13, "came with operator set 14"),
        ] {
            let error = check(&node(domain, op), opset).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("node 'y' ({op}): ")) && error.contains(reason),
                "{error}"
            );
        }
    }

    #[test]
    fn every_listed_operator_has_its_operator_set() {
        let mut listed = STANDARD
            .split_whitespace()
            .map(|entry| entry.split_once(':').and_then(|(_, set)| set.parse::<i64>().ok()));
        assert!(listed.all(|since| since.is_some_and(|since| (1..=NEWEST).contains(&since))));
    }
}
