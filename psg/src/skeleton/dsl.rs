//! A text form of skeletons, for litmus tests: `NPU w a; GPU r a w b; loop { CPU r b }; if { CPU w a } else { }`.
//!
//! A statement is an agent (`CPU`, `GPU`, `GPU1` for queue 1, `GPU1.0` for device 1, `NPU`) and accesses: `r` reads,
//! `w` writes (all of the buffer by a dispatch, one element by the host), `rw` both, `p` writes a part, `rp` reads and
//! writes a part, `f` fills all of it, `u` updates all of it. `fresh a` starts a new buffer, `stop` ends the program, `mark a` is a marker.
//! Nodes are numbered from 0 in the order of the text.

use super::{Block, CPU, NPU, Site, Skeleton, Step};
use crate::id::NodeId;
use crate::plan::{Access, AccessKind, Context, Location, LocationKind, Mode};
use smallvec::SmallVec;

/// Reads a litmus text.
pub fn parse(text: &str) -> Result<Skeleton, String> {
    let spaced = text.replace('{', " { ").replace('}', " } ").replace([';', '\n'], " ; ");
    let mut parser = Parser {
        words: spaced.split_whitespace().map(str::to_owned).collect(),
        at: 0,
        next: 0,
        out: Skeleton::default(),
    };
    parser.out.contexts = contexts(&parser.words)?;
    parser.out.body = parser.block()?;
    if parser.at < parser.words.len() {
        return Err(format!("`{}` is not expected here", parser.words[parser.at]));
    }
    Ok(parser.out)
}

/// CPU, NPU and the queues that the words name.
fn contexts(words: &[String]) -> Result<Vec<Context>, String> {
    let mut queues = Vec::new();
    for word in words.iter().filter(|w| w.starts_with("GPU")) {
        queues.push(context(word)?);
    }
    queues.sort();
    queues.dedup();
    Ok([Context::Cpu, Context::Npu].into_iter().chain(queues).collect())
}

fn context(word: &str) -> Result<Context, String> {
    let bad = || format!("`{word}` is no agent");
    match word {
        "CPU" => Ok(Context::Cpu),
        "NPU" => Ok(Context::Npu),
        _ => {
            let rest = word.strip_prefix("GPU").ok_or_else(bad)?;
            let (device, queue) =
                rest.split_once('.').unwrap_or(("0", if rest.is_empty() { "0" } else { rest }));
            Ok(Context::Gpu {
                device: device.parse().map_err(|_| bad())?,
                queue: queue.parse().map_err(|_| bad())?,
            })
        }
    }
}

struct Parser {
    words: Vec<String>,
    at: usize,
    next: u32,
    out: Skeleton,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.peek() == Some(word) {
            self.at += 1;
            return Ok(());
        }
        Err(format!("expected `{word}`, found `{}`", self.peek().unwrap_or("the end")))
    }

    fn node(&mut self) -> NodeId {
        self.next += 1;
        NodeId(self.next - 1)
    }

    fn braced(&mut self) -> Result<Block, String> {
        self.expect("{")?;
        let block = self.block()?;
        self.expect("}")?;
        Ok(block)
    }

    fn block(&mut self) -> Result<Block, String> {
        let mut block = Block::new();
        while let Some(word) = self.peek().map(str::to_owned) {
            match word.as_str() {
                "}" => break,
                ";" => self.at += 1,
                "loop" => {
                    self.at += 1;
                    let node = self.node();
                    let id = self.out.loops;
                    self.out.loops += 1;
                    let body = self.braced()?;
                    let anchor = self.out.anchors.len() as u32;
                    self.out.anchors.push(node);
                    block.push(Step::Loop { anchor, id, head: Block::new(), body });
                }
                "if" => {
                    self.at += 1;
                    let mut arms = vec![self.braced()?];
                    while self.peek() == Some("else") {
                        self.at += 1;
                        arms.push(self.braced()?);
                    }
                    if arms.len() == 1 {
                        arms.push(Block::new());
                    }
                    block.push(Step::Branch(arms));
                }
                "stop" => {
                    self.at += 1;
                    block.push(Step::Stop);
                }
                "fresh" => {
                    self.at += 1;
                    let location = self.location()?;
                    block.push(Step::Fresh(location));
                }
                "mark" => {
                    self.at += 1;
                    let location = self.location()?;
                    let node = self.node();
                    self.out.markers.push((node, vec![location]));
                    block.push(Step::Marker(self.out.markers.len() as u32 - 1));
                }
                _ => block.push(self.statement(&word)?),
            }
        }
        Ok(block)
    }

    fn location(&mut self) -> Result<u32, String> {
        let name = self.peek().ok_or("a buffer's name is missing")?.to_owned();
        self.at += 1;
        if let Some(found) = self.out.locations.iter().position(|l| l.name == name) {
            return Ok(found as u32);
        }
        self.out.locations.push(Location {
            name,
            kind: LocationKind::Allocation,
            node: None,
            summary: false,
        });
        Ok(self.out.locations.len() as u32 - 1)
    }

    fn statement(&mut self, agent: &str) -> Result<Step, String> {
        let context = context(agent)?;
        self.at += 1;
        let node = self.node();
        let index = self.out.contexts.iter().position(|&c| c == context).unwrap_or(0) as u8;
        let host = index == CPU;
        let site = self.out.sites.len() as u32;
        self.out.sites.push(Site { node, context: index, dispatch: !host, after: false });
        let mut accesses = SmallVec::new();
        while let Some(word) = self.peek().map(str::to_owned) {
            let (mode, covers) = match word.as_str() {
                "r" => (Mode::Read, false),
                "w" => (Mode::Write, !host),
                "rw" => (Mode::ReadWrite, !host),
                "p" => (Mode::Write, false),
                "rp" => (Mode::ReadWrite, false),
                "f" => (Mode::Write, true),
                "u" => (Mode::ReadWrite, true),
                _ => break,
            };
            self.at += 1;
            let location = self.location()?;
            accesses.push(self.out.accesses.len() as u32);
            self.out.accesses.push(Access { node, context, mode, covers, location, what: AccessKind::Host });
            self.out.access_site.push(site);
        }
        debug_assert!(index != NPU || context == Context::Npu);
        Ok(Step::Event { site, accesses })
    }
}
