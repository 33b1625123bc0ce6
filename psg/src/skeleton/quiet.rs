//! Calls of shared bodies that do nothing with buffers are taken out.
//!
//! Who calls a shared body is not told apart: what comes in by one call goes out behind every other. A body that does
//! nothing would still join what is known before all of its calls, to no use.
//!
//! Promises: the order of all that stays is kept. Does not look into bodies that do something, however little.

use super::{Block, Step};

/// Takes the calls of quiet bodies out of the program. The bodies stay, empty, so that the numbers of the others do.
pub fn remove(body: &mut Block, shared: &mut [Block]) {
    // A body is quiet unless something in it is not, calls of other bodies that are not quiet included.
    let mut quiet = vec![true; shared.len()];
    loop {
        let loud: Vec<usize> =
            (0..shared.len()).filter(|&i| quiet[i] && !is_quiet(&shared[i], &quiet)).collect();
        if loud.is_empty() {
            break;
        }
        loud.into_iter().for_each(|i| quiet[i] = false);
    }
    if quiet.contains(&true) {
        for block in shared.iter_mut().chain([body]) {
            drop_calls(block, &quiet);
        }
    }
}

fn is_quiet(block: &Block, quiet: &[bool]) -> bool {
    block.iter().all(|step| match step {
        Step::Branch(arms) => arms.iter().all(|arm| is_quiet(arm, quiet)),
        Step::Loop { head, body, .. } => is_quiet(head, quiet) && is_quiet(body, quiet),
        Step::Call(shared) => quiet[*shared as usize],
        Step::Event { .. } | Step::Fresh(_) | Step::Marker(_) | Step::Stop => false,
    })
}

fn drop_calls(block: &mut Block, quiet: &[bool]) {
    block.retain_mut(|step| {
        match step {
            Step::Branch(arms) => arms.iter_mut().for_each(|arm| drop_calls(arm, quiet)),
            Step::Loop { head, body, .. } => {
                drop_calls(head, quiet);
                drop_calls(body, quiet);
            }
            Step::Call(shared) => return !quiet[*shared as usize],
            Step::Event { .. } | Step::Fresh(_) | Step::Marker(_) | Step::Stop => {}
        }
        true
    });
}
