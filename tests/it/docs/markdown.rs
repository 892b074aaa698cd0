//! As much of Markdown as the pages use: fences, headings, links.

use std::collections::HashMap;

use super::world::root;

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The line of the opening fence, from 1.
    pub line: usize,
    /// How many headings are above it.
    section: usize,
    pub language: String,
    pub text: String,
    /// The file that the sentence before it says to save it as.
    pub saved_as: Option<String>,
    /// Why it must not be executed: `<!-- not run: why -->` on the line above.
    pub not_run: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Page {
    /// From the root, such as `docs/outbox.md`.
    pub name: String,
    pub blocks: Vec<Block>,
    pub anchors: Vec<String>,
    /// Line and target.
    pub links: Vec<(usize, String)>,
}

/// README.md and every page of docs/.
pub fn pages() -> Vec<Page> {
    let mut names = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.ends_with(".md"), "{name}");
        names.push(format!("docs/{name}"));
    }
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let text = std::fs::read_to_string(root().join(&name)).unwrap();
            Page::parse(name, &text)
        })
        .collect()
}

impl Page {
    fn parse(name: String, text: &str) -> Self {
        let mut page = Self {
            name,
            blocks: Vec::new(),
            anchors: Vec::new(),
            links: Vec::new(),
        };
        let (mut open, mut above, mut section): (Option<Block>, &str, usize) = (None, "", 0);
        let mut said = "";
        let mut seen = HashMap::new();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            match (open.as_mut(), line.strip_prefix("```")) {
                (Some(_), Some(_)) => page.blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, Some(language)) => {
                    open = Some(Block {
                        line: number,
                        section,
                        language: language.to_owned(),
                        text: String::new(),
                        saved_as: said
                            .split_once("Save this as `")
                            .and_then(|(_, rest)| rest.split_once('`'))
                            .map(|(file, _)| file.to_owned()),
                        not_run: above
                            .strip_prefix("<!-- not run: ")
                            .map(|why| why.trim_end_matches(" -->").to_owned()),
                    });
                }
                (None, None) => {
                    let heading = line.trim_start_matches('#');
                    if let (true, Some(title)) =
                        (heading.len() < line.len(), heading.strip_prefix(' '))
                    {
                        section += 1;
                        page.anchors.push(anchor(title, &mut seen));
                    }
                    page.links
                        .extend(links(line).map(|target| (number, target)));
                }
            }
            above = line;
            if !line.is_empty() {
                said = line;
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed", page.name);
        page
    }

    /// The blocks under each heading.
    pub fn sections(&self) -> Vec<Vec<Block>> {
        let mut sections: Vec<Vec<Block>> = Vec::new();
        for block in &self.blocks {
            match sections.last_mut() {
                Some(last) if last[0].section == block.section => last.push(block.clone()),
                _ => sections.push(vec![block.clone()]),
            }
        }
        sections
    }

    /// A link's path, from the root.
    pub fn resolve(&self, path: &str) -> String {
        if path.is_empty() {
            return self.name.clone();
        }
        let folder = self.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in path.split('/') {
            if part == ".." {
                parts.pop();
            } else {
                parts.push(part);
            }
        }
        parts.join("/")
    }
}

/// As GitHub makes it of a heading.
fn anchor(title: &str, seen: &mut HashMap<String, usize>) -> String {
    let plain: String = title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    let times = seen.entry(plain.clone()).or_insert(0);
    *times += 1;
    match *times {
        1 => plain,
        n => format!("{plain}-{}", n - 1),
    }
}

/// The targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = String> + '_ {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
}
