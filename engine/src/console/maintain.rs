//! `maintain`: small files joined, old snapshots dropped, orphans removed, keys re-wrapped; a line for each thing.

use super::{
    args::Maintain,
    open,
    output::{Output, table},
    progress::spinning,
    which,
};
use crate::{
    error::Result,
    lakehouse::Lakehouse,
    maintain::{Done, Plan, Step, run},
};

/// Runs tenant by tenant; one that fails does not keep the others from theirs, and its exit code is the answer's.
pub async fn maintain(house: &Lakehouse, args: &Maintain, output: &Output) -> Result<u8> {
    let steps = if args.only.is_empty() { Step::ALL.to_vec() } else { args.only.clone() };
    let plan = Plan { steps, dry_run: args.dry_run };
    let (mut done, mut code): (Vec<Done>, u8) = (Vec::new(), 0);
    for name in which(house, args.tenant.as_ref()).await? {
        let ran = async { run(house, &open(house, &name).await?, &plan).await };
        match spinning("maintaining", ran).await {
            Ok(lines) => done.extend(lines),
            Err(error) => {
                output.error(&error);
                code = error.kind().exit_code();
            }
        }
    }
    output.list(&done, || text(&done))?;
    if args.dry_run {
        output.remark("dry run: nothing was changed");
    }
    Ok(code)
}

fn text(done: &[Done]) -> String {
    table(
        ["tenant", "step", "object", "outcome"],
        done.iter().map(|line| {
            let step = format!("{:?}", line.step).to_lowercase();
            [line.tenant.clone(), step, line.object.clone(), line.outcome.text()]
        }),
    )
}
