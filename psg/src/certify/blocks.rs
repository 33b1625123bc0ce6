//! The skeleton as basic blocks with edges.

use crate::skeleton::{Block as Tree, Skeleton, Step};

#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    Run {
        site: u32,
        accesses: &'a [u32],
    },
    Fresh(u32),
    /// Index into the skeleton's anchors.
    EnterLoop(u32),
}

#[derive(Debug, Default)]
pub struct Block<'a> {
    pub ops: Vec<Op<'a>>,
    pub next: Vec<usize>,
}

/// Block 0 is the start.
#[derive(Debug)]
pub struct Graph<'a> {
    pub blocks: Vec<Block<'a>>,
    /// Of shared bodies: first block, and the last one where its end can be reached.
    shared: Vec<(usize, Option<usize>)>,
    /// Calls of shared bodies, with the block that follows.
    calls: Vec<(u32, usize)>,
}

impl<'a> Graph<'a> {
    pub fn new(skeleton: &'a Skeleton) -> Self {
        let mut graph = Self { blocks: vec![Block::default()], shared: Vec::new(), calls: Vec::new() };
        graph.tree(&skeleton.body, 0);
        for body in &skeleton.shared {
            let first = graph.block();
            let last = graph.tree(body, first);
            graph.shared.push((first, last));
        }
        let mut from: Vec<(usize, u32, usize)> = Vec::new();
        for &(shared, after) in &graph.calls {
            from.push((after - 1, shared, after));
        }
        for (call, shared, after) in from {
            let (first, last) = graph.shared[shared as usize];
            graph.blocks[call].next.push(first);
            if let Some(last) = last {
                graph.blocks[last].next.push(after);
            }
        }
        graph
    }

    fn block(&mut self) -> usize {
        self.blocks.push(Block::default());
        self.blocks.len() - 1
    }

    /// Appends a tree behind block `at`; the block where it ends, if it does.
    fn tree(&mut self, tree: &'a Tree, mut at: usize) -> Option<usize> {
        for step in tree {
            match step {
                Step::Event { site, accesses } => self.blocks[at].ops.push(Op::Run { site: *site, accesses }),
                Step::Fresh(location) => self.blocks[at].ops.push(Op::Fresh(*location)),
                Step::Marker(_) => {}
                Step::Stop => return None,
                Step::Branch(arms) => {
                    let mut ends = Vec::new();
                    for arm in arms {
                        let first = self.block();
                        self.blocks[at].next.push(first);
                        ends.extend(self.tree(arm, first));
                    }
                    if ends.is_empty() {
                        return None;
                    }
                    at = self.block();
                    for end in ends {
                        self.blocks[end].next.push(at);
                    }
                }
                Step::Loop { anchor, head, body, .. } => {
                    self.blocks[at].ops.push(Op::EnterLoop(*anchor));
                    let first = self.block();
                    self.blocks[at].next.push(first);
                    let after_head = self.tree(head, first)?;
                    let inside = self.block();
                    self.blocks[after_head].next.push(inside);
                    if let Some(end) = self.tree(body, inside) {
                        self.blocks[end].next.push(first);
                    }
                    at = self.block();
                    self.blocks[after_head].next.push(at);
                }
                Step::Call(shared) => {
                    // The call's block is the one before the block that follows it: see `new`.
                    let call = self.block();
                    self.blocks[at].next.push(call);
                    at = self.block();
                    self.calls.push((*shared, at));
                }
            }
        }
        Some(at)
    }
}
