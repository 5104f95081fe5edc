//! Rust sources as text with comments and literals blanked out: enough for the rules, without a
//! parser.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A source file.
pub struct Source {
    /// Its path from the repository's root.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The text with comments and the insides of literals replaced by spaces; lines are kept.
    code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: blank(text) }
    }

    /// The folder or file below src/ that it belongs to.
    pub fn room(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
    }

    /// Whether its code holds `path` as a path of its own, not as the end of a longer name.
    pub fn mentions(&self, path: &str) -> bool {
        let starts = |at: usize| !self.code[..at].ends_with(|c: char| is_word(c) || c == ':');
        self.code.match_indices(path).any(|(at, _)| starts(at))
    }
}

/// All Rust files below `folders` of the repository, by path.
pub fn read_all(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                sources.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 1, "nothing was read");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The first names after `crate::`, groups included.
pub fn paths_from_the_crate(source: &Source) -> Vec<String> {
    let mut names = BTreeSet::new();
    for (at, path) in source.code.match_indices("crate::") {
        let rest = &source.code[at + path.len()..];
        match rest.strip_prefix('{') {
            None => drop(names.insert(word(rest).to_owned())),
            Some(group) => {
                let mut depth = 0;
                let mut item = 0;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            names.insert(word(group[item..].trim_start()).to_owned());
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            names.insert(word(group[item..].trim_start()).to_owned());
                            item = at + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names.remove("");
    names.into_iter().collect()
}

/// Every function with a body: its name, its first line, and its number of lines.
pub fn function_lengths(source: &Source) -> Vec<(String, usize, usize)> {
    let code = &source.code;
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    let mut lengths = Vec::new();
    for at in keyword(code, "fn ") {
        let Some((from, to)) = body(code, at) else { continue };
        let name = word(&code[at + 3..]).to_owned();
        lengths.push((name, line(at), line(to) + 1 - line(at)));
        assert!(from < to);
    }
    lengths
}

/// The types that it defines, associated ones apart.
pub fn type_names(source: &Source) -> Vec<String> {
    let mut names = Vec::new();
    for line in source.code.lines() {
        let nested = line.starts_with(' ');
        let line = line.trim_start();
        let line = line.strip_prefix("pub").map_or(line, |rest| match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')').map_or(rest, |(_, rest)| rest).trim_start(),
            None => rest.trim_start(),
        });
        let kinds = ["struct ", "enum ", "trait ", "type "];
        let kind = kinds.iter().find(|kind| line.starts_with(**kind));
        if let Some(kind) = kind.filter(|kind| !(nested && **kind == "type ")) {
            names.push(word(&line[kind.len()..]).to_owned());
        }
    }
    names
}

/// The public traits that it defines, with their numbers of methods.
pub fn public_traits(source: &Source) -> Vec<(String, usize)> {
    let code = &source.code;
    let found = keyword(code, "trait ").into_iter().filter_map(|at| {
        if !code[..at].ends_with("pub ") {
            return None;
        }
        let (from, to) = body(code, at)?;
        Some((word(&code[at + 6..]).to_owned(), keyword(&code[from..to], "fn ").len()))
    });
    found.collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(text: &str) -> &str {
    text.split(|c: char| !is_word(c)).next().unwrap_or("")
}

/// Where `keyword` begins a definition: a name follows it.
fn keyword(code: &str, keyword: &str) -> Vec<usize> {
    let is_whole = |at: usize| {
        let named = code[at + keyword.len()..].starts_with(|c: char| c.is_alphabetic() || c == '_');
        named && !code[..at].ends_with(is_word)
    };
    code.match_indices(keyword).map(|(at, _)| at).filter(|at| is_whole(*at)).collect()
}

/// From the brace that opens the body of the definition at `at` to the one that closes it. None for
/// one without a body.
fn body(code: &str, at: usize) -> Option<(usize, usize)> {
    let (mut parentheses, mut braces, mut from) = (0, 0, None);
    for (offset, c) in code[at..].char_indices() {
        match c {
            '(' | '[' => parentheses += 1,
            ')' | ']' => parentheses -= 1,
            ';' if parentheses == 0 && from.is_none() => return None,
            '{' if parentheses == 0 || from.is_some() => {
                braces += 1;
                from.get_or_insert(at + offset);
            }
            '}' if from.is_some() => {
                braces -= 1;
                if braces == 0 {
                    return Some((from?, at + offset));
                }
            }
            _ => {}
        }
    }
    None
}

/// Replaces comments and the insides of literals by spaces.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(text, at);
        if end > at {
            code.extend(text[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            let c = text[at..].chars().next().unwrap();
            code.push(c);
            at += c.len_utf8();
        }
    }
    code
}

/// The end of the comment or literal that begins at `at`; `at` if none does.
fn literal_end(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let to = |found: Option<usize>, more: usize| found.map_or(text.len(), |end| at + end + more);
    if rest.starts_with("//") {
        return to(rest.find('\n'), 0);
    }
    if rest.starts_with("/*") {
        return to(rest.find("*/"), 2);
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return at + 1 + escaped_end(inside, '"');
    }
    if rest.starts_with('r') && !text[..at].ends_with(|c: char| is_word(c) && c != 'b') {
        let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
        if rest[1 + hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let inside = 2 + hashes;
            return to(rest[inside..].find(&close).map(|end| inside + end), close.len());
        }
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        let escaped = inside.starts_with('\\');
        let one = inside.chars().next().map_or(0, char::len_utf8);
        // Otherwise it is a lifetime.
        if escaped || inside[one..].starts_with('\'') {
            return at + 1 + escaped_end(inside, '\'');
        }
    }
    at
}

/// Past the first `quote` of `inside` that is not escaped.
fn escaped_end(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    inside.len()
}
