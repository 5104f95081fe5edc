//! Evidence from the user's own photos: how well quality tells which images will fail to match
//! (EDC), what a score means there (calibration), and whether groups of people are treated alike
//! (bias).
//!
//! [`labels`] reads what people know, [`photos`] finds the files that it names, a session of the
//! application scores them, and [`collect`] turns what the store holds into [`samples`]. All others are numbers in,
//! numbers out. [`figures`] and [`tables`] turn results into what papers want; printing is left to
//! the command line.

pub mod agreement;
pub mod bias;
pub mod bootstrap;
pub mod calibrate;
pub mod collect;
pub mod edc;
pub mod evaluation;
pub mod figures;
pub mod labels;
pub mod left_out;
pub mod pairs;
pub mod photos;
pub mod plot;
pub mod samples;
pub mod tables;
