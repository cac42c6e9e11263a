//! Pauses for what multiplies rows, so that a deadline can pass between them.
//! Promise: no join, recursion or unnesting runs on without letting the clock be looked at.
//!
//! DataFusion pauses at the leaves of a plan. A cross join of small tables has used up its leaves before it begins
//! to multiply, and would hold its thread until it is done.

use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, coop::CooperativeExec},
};

#[derive(Debug)]
pub(super) struct PauseInJoins;

impl PhysicalOptimizerRule for PauseInJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if multiplies(node.name()) {
                Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
            } else {
                Ok(Transformed::no(node))
            }
        })
        .data()
    }

    fn name(&self) -> &str {
        "pause_in_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies(operator: &str) -> bool {
    operator.contains("Join") || operator.contains("Unnest") || operator.contains("Recursive")
}
