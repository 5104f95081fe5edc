//! Evaluation on the user's own photos: how well quality predicts which images will fail to match
//! (EDC), how well people are found in a gallery (identification), what a score means there
//! (calibration), which combination of measures predicts it better (fused quality), and whether
//! quality treats groups of people alike (bias).
//!
//! [`dataset`] and [`labels`] read the ground truth, [`photos`] finds the named files. The
//! application scores them in a session, and [`collect`] turns the results in the store into
//! [`samples`]. The other modules compute numbers from numbers. [`figures`], [`tables`] and
//! [`out_folder`] write the results; printing is left to the command line.

pub mod agreement;
pub mod bias;
pub mod bootstrap;
pub mod calibrate;
pub mod collect;
pub mod compare;
pub mod coverage;
pub mod dataset;
pub mod edc;
pub mod evaluation;
pub mod figures;
pub mod fuse;
pub mod identification;
pub mod labels;
pub mod out_folder;
pub mod pairs;
pub mod photos;
pub mod plot;
pub mod samples;
pub mod tables;
pub mod unscored;
pub mod views;
