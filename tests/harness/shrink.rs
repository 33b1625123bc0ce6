//! Makes a failing program small: drops blocks of lines as long as it still fails.
//!
//! A block is a line with all deeper-indented lines behind it, so most of what is tried keeps the layout whole. A try
//! that no longer compiles simply does not fail in the same way, and is undone.

/// The smallest program found for which `fails` holds; `fails` is asked at most `tries` times.
pub fn shrink(text: &str, tries: usize, fails: &dyn Fn(&str) -> bool) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut left = tries;
    loop {
        let before = lines.len();
        lines = pass(lines, &mut left, fails);
        if lines.len() == before || left == 0 {
            return lines.join("\n") + "\n";
        }
    }
}

/// Tries each block once, from the end: what is last depends on what is before it.
fn pass(mut lines: Vec<String>, left: &mut usize, fails: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut at = lines.len();
    while at > 0 {
        at -= 1;
        if at >= lines.len() || lines[at].trim().is_empty() {
            continue;
        }
        for candidate in candidates(&lines, at) {
            if *left == 0 {
                return lines;
            }
            *left -= 1;
            if fails(&(candidate.join("\n") + "\n")) {
                lines = candidate;
                break;
            }
        }
    }
    lines
}

/// Ways to make a program smaller at a line: without its block, without its head, or without its `else`.
fn candidates(lines: &[String], at: usize) -> Vec<Vec<String>> {
    let depth = indent(&lines[at]);
    let behind = |l: &String| !l.trim().is_empty() && indent(l) <= depth;
    let end = lines[at + 1..].iter().position(behind).map_or(lines.len(), |n| at + 1 + n);
    let cut = |from: usize, to: usize| [&lines[..from], &lines[to..]].concat();
    let mut found = vec![cut(at, end)];
    if end > at + 1 {
        let by = indent(&lines[at + 1]) - depth.min(indent(&lines[at + 1]));
        let lifted: Vec<String> = lines[at + 1..end].iter().map(|l| l.chars().skip(by).collect()).collect();
        found.push([&lines[..at], &lifted[..], &lines[end..]].concat());
        if lines.get(end).is_some_and(|l| l.trim() == "else" && indent(l) == depth) {
            let tail = lines[end + 1..].iter().position(behind).map_or(lines.len(), |n| end + 1 + n);
            found.push([&lines[..at], &lifted[..], &lines[tail..]].concat());
            let other = lines[end + 1..tail].iter().map(|l| l.chars().skip(by).collect());
            found.push([&lines[..at], &other.collect::<Vec<_>>()[..], &lines[tail..]].concat());
        }
    }
    found
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::shrink;

    #[test]
    fn only_what_matters_stays() {
        let text = "let f x =\n    if x then\n        a\n        bad\n    else\n        b\nlet g = 1\n";
        let small = shrink(text, 1000, &|t| t.contains("let f") && t.contains("bad"));
        assert_eq!(small, "let f x =\n    bad\n");
    }
}
