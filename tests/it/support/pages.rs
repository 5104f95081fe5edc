//! The documentation as its reader sees it: the code blocks of a page.

use std::path::{Path, PathBuf};

/// A fenced block of code.
pub struct Block {
    /// The `##` heading of its section, or nothing.
    pub section: String,
    /// The word after the opening fence.
    pub language: String,
    /// The number of the first line of the block in its page.
    pub line: usize,
    pub text: String,
}

/// A page of this checkout.
pub struct Page {
    /// Relative to the checkout, such as `docs/data.md`.
    pub path: String,
    pub blocks: Vec<Block>,
    /// Lines of blocks that are indented instead of fenced, with their numbers.
    pub indented: Vec<(usize, String)>,
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let (mut blocks, mut indented) = (Vec::<Block>::new(), Vec::new());
        let (mut section, mut open) = (String::new(), false);
        for (number, line) in (1..).zip(text.lines()) {
            match (line.strip_prefix("```"), line.strip_prefix("    ")) {
                (Some(_), _) if open => open = false,
                (Some(language), _) => {
                    let (section, language) = (section.clone(), language.to_owned());
                    let text = String::new();
                    blocks.push(Block { section, language, line: number + 1, text });
                    open = true;
                }
                _ if open => blocks.last_mut().unwrap().text += &format!("{line}\n"),
                (_, Some(code)) => indented.push((number, code.to_owned())),
                _ => {
                    if let Some(heading) = line.strip_prefix("## ") {
                        heading.clone_into(&mut section);
                    }
                }
            }
        }
        assert!(!open, "{path}: the last block is not closed");
        Self { path: path.to_owned(), blocks, indented }
    }

    /// The pages that people read: those of the top folder and of `docs`.
    pub fn all() -> Vec<Self> {
        let pages = |folder: &str| {
            let entries = std::fs::read_dir(root().join(folder)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let pages = names.filter(|name| name.ends_with(".md"));
            pages.map(|name| format!("{folder}{name}")).collect::<Vec<_>>()
        };
        let mut paths = [pages(""), pages("docs/")].concat();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The blocks of one language.
    pub fn blocks(&self, language: &str) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(move |block| block.language == language)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
