//! Evidence from the user's own photos: how well quality tells which images will fail to match (EDC), what a score means there
//! (calibration), and whether groups of people are treated alike (bias).
//!
//! [`collect`] is the only file that knows the store and the worker: it turns labels into [`samples`]. All others are numbers in,
//! numbers out. [`figures`] and [`tables`] turn results into what papers want; printing is left to the command line.

pub mod agreement;
pub mod bias;
pub mod bootstrap;
pub mod calibrate;
pub mod collect;
pub mod edc;
pub mod evaluation;
pub mod figures;
pub mod labels;
pub mod pairs;
pub mod plot;
pub mod samples;
pub mod tables;
