//! The arithmetic of networks in f64, written from the formulas.

/// A tensor in f64, row by row.
#[derive(Debug, Clone)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Array {
    pub fn new(shape: &[usize], data: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        Self { shape: shape.to_vec(), data }
    }

    /// N, C and the product of the other dimensions of a tensor [N, C, ...].
    pub fn planes(&self) -> (usize, usize, usize) {
        (self.shape[0], self.shape[1], self.shape[2..].iter().product())
    }

    pub fn map(&self, f: impl Fn(usize, f64) -> f64) -> Self {
        let (_, channels, inner) = self.planes();
        let data = self
            .data
            .iter()
            .enumerate()
            .map(|(i, &value)| f(i / inner % channels, value))
            .collect();
        Self { shape: self.shape.clone(), data }
    }
}

/// A convolution of a batch of maps by a kernel [M, C, rows, columns], with stride, padding on each
/// side, and groups.
pub fn convolve(
    x: &Array,
    kernel: &[f64],
    bias: &[f64],
    [size, channels, rows, columns]: [usize; 4],
    [stride, pad, groups]: [usize; 3],
) -> Array {
    let [batch, all, height, width] = x.shape[..] else {
        panic!("{:?} is not a batch of maps", x.shape)
    };
    assert_eq!(all, channels * groups);
    let side = |length: usize, kernel: usize| (length + 2 * pad - kernel) / stride + 1;
    let (out_height, out_width) = (side(height, rows), side(width, columns));
    let mut data = Vec::with_capacity(batch * size * out_height * out_width);
    for n in 0..batch {
        for m in 0..size {
            let first = m / (size / groups) * channels;
            for y in 0..out_height {
                for x0 in 0..out_width {
                    let mut sum = bias[m];
                    for c in 0..channels {
                        for i in 0..rows {
                            let Some(row) =
                                (y * stride + i).checked_sub(pad).filter(|&row| row < height)
                            else {
                                continue;
                            };
                            for j in 0..columns {
                                let Some(column) = (x0 * stride + j)
                                    .checked_sub(pad)
                                    .filter(|&column| column < width)
                                else {
                                    continue;
                                };
                                let pixel =
                                    x.data[((n * all + first + c) * height + row) * width + column];
                                sum +=
                                    pixel * kernel[((m * channels + c) * rows + i) * columns + j];
                            }
                        }
                    }
                    data.push(sum);
                }
            }
        }
    }
    Array::new(&[batch, size, out_height, out_width], data)
}

/// SER-FIQ's distance for the features of a head `A x + c` with the dropout ratio `p`, from the
/// formulas in the README.
pub fn closed_form(weights: &[Vec<f64>], bias: &[f64], features: &[f64], p: f64) -> f64 {
    let q = p / (1.0 - p);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mu: Vec<f64> = weights.iter().zip(bias).map(|(row, c)| dot(row, features) + c).collect();
    let m2 = dot(&mu, &mu);
    let (mut total, mut par) = (0.0, 0.0);
    for (i, x) in features.iter().enumerate() {
        let column: Vec<f64> = weights.iter().map(|row| row[i]).collect();
        total += q * x * x * dot(&column, &column);
        par += q * x * x * dot(&column, &mu).powi(2) / m2;
    }
    let gram: Vec<Vec<f64>> =
        weights.iter().map(|a| weights.iter().map(|b| dot(a, b)).collect()).collect();
    let trace: f64 = (0..gram.len()).map(|d| gram[d][d]).sum();
    let squared: f64 = gram.iter().flatten().map(|value| value * value).sum();
    let nu = trace * trace / squared;
    let perp = total - par;
    (2.0 * perp / (m2 + perp)).sqrt() * (1.0 - 1.0 / (4.0 * nu))
}
