//! Strongly connected components (Tarjan), without recursion.

/// A graph by lists of successors.
pub struct Graph {
    pub edges: Vec<Vec<usize>>,
}

/// Component numbers by node, and sizes by component.
pub struct Components {
    pub of: Vec<usize>,
    sizes: Vec<usize>,
}

impl Components {
    /// Whether a node lies on a cycle.
    pub fn is_cyclic(&self, node: usize, graph: &Graph) -> bool {
        self.sizes[self.of[node]] > 1 || graph.edges[node].contains(&node)
    }
}

impl Graph {
    pub fn components(&self) -> Components {
        const NONE: usize = usize::MAX;
        let n = self.edges.len();
        let (mut index, mut low, mut of) = (vec![NONE; n], vec![0; n], vec![NONE; n]);
        let (mut stack, mut sizes, mut next) = (Vec::new(), Vec::new(), 0);
        for root in 0..n {
            if index[root] != NONE {
                continue;
            }
            let mut work = vec![(root, 0usize)];
            while let Some((node, at)) = work.pop() {
                if at == 0 {
                    index[node] = next;
                    low[node] = next;
                    next += 1;
                    stack.push(node);
                }
                if let Some(&to) = self.edges[node].get(at) {
                    work.push((node, at + 1));
                    if index[to] == NONE {
                        work.push((to, 0));
                    } else if of[to] == NONE {
                        low[node] = low[node].min(index[to]);
                    }
                    continue;
                }
                if low[node] == index[node] {
                    let mut size = 0;
                    while let Some(member) = stack.pop() {
                        of[member] = sizes.len();
                        size += 1;
                        if member == node {
                            break;
                        }
                    }
                    sizes.push(size);
                }
                if let Some(&(parent, _)) = work.last() {
                    low[parent] = low[parent].min(low[node]);
                }
            }
        }
        Components { of, sizes }
    }
}

#[cfg(test)]
mod tests {
    use super::Graph;

    #[test]
    fn cycles_are_found() {
        let graph = Graph { edges: vec![vec![1], vec![2], vec![1], vec![3], vec![]] };
        let c = graph.components();
        let cyclic: Vec<bool> = (0..5).map(|n| c.is_cyclic(n, &graph)).collect();
        assert_eq!(cyclic, [false, true, true, true, false]);
    }
}
