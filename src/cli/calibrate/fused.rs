//! What `calibrate --fuse` prints.

use anyhow::Result;

use crate::cli::columns::{shown, table};
use crate::cli::say;
use crate::evaluate::bootstrap::Estimate;
use crate::evaluate::fuse::FusedResult;

pub(super) fn print_fused(result: &FusedResult) -> Result<()> {
    let fit = &result.fit;
    say(format!(
        "\nfused quality: the expected similarity with other photos of the person, of {} inputs",
        result.fused.inputs.len()
    ))?;
    let header = ["input", "mean", "one standard deviation", "adds"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(result.fused.inputs.iter().map(|term| {
        vec![
            term.name.name().to_owned(),
            format!("{:.4}", term.mean),
            format!("{:.4}", term.scale),
            format!("{:+.4}", term.coefficient),
        ]
    }));
    say(table(&rows))?;
    for (input, count) in &result.imputed {
        say(format!("{}: {count} photos have none; for them it adds nothing", input.name()))?;
    }
    if !result.left_out.is_empty() {
        let names: Vec<&str> = result.left_out.iter().map(|input| input.name()).collect();
        say(format!("not used, the same for all photos or mostly unknown: {}", names.join(", ")))?;
    }
    let header = format!("pAUC({}) at FMR {:e}", fit.discarded, fit.fmr);
    let mut rows = vec![vec![String::new(), header, "fused quality less this".to_owned()]];
    rows.extend(fit.pauc.iter().map(|area| {
        let difference = area.interval.map_or_else(String::new, |[low, high]| {
            shown(Estimate { value: area.fused_less_this, low, high }, 3)
        });
        vec![area.measure.clone(), format!("{:.3}", area.value), difference]
    }));
    say(format!(
        "\neach photo predicted by a fit without its person ({} folds, penalty {}):\n{}",
        fit.folds,
        fit.penalty,
        table(&rows)
    ))?;
    Ok(())
}
