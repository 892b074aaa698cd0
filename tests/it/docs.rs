//! What README.md and docs/ say can be done, is done: every command is executed, every file of somebody else's software is read by a parser
//! of that software, and every link leads somewhere.

mod front;
mod markdown;
mod snippets;
mod world;

use std::collections::BTreeSet;

use markdown::{Block, Page, pages};
use world::World;

/// How many blocks may say `<!-- not run: why -->`.
const MAX_NOT_RUN: usize = 3;
/// What a block may be. A language that is not here would be neither executed nor read.
const LANGUAGES: &[&str] = &[
    "sh",
    "json",
    "yaml",
    "nginx",
    "caddy",
    "groovy",
    "dockerfile",
    "text",
];

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    run_pages(|page| page.name == "README.md");
}

#[test]
fn every_command_of_the_recipes_for_callers_does_what_it_says() {
    run_pages(|page| page.name.starts_with("docs/") && is_for_callers(page));
}

#[test]
fn every_command_of_the_other_pages_does_what_it_says() {
    run_pages(|page| page.name.starts_with("docs/") && !is_for_callers(page));
}

fn is_for_callers(page: &Page) -> bool {
    page.name.starts_with("docs/ci-") || page.name == "docs/senders.md"
}

/// Blocks of one section are executed by one shell, as a reader has one terminal.
fn run_pages(wanted: impl Fn(&Page) -> bool) {
    let pages: Vec<Page> = pages().into_iter().filter(wanted).collect();
    assert!(!pages.is_empty());
    let mut faults = Vec::new();
    for page in pages {
        let world = World::new();
        for section in page.sections() {
            section.iter().for_each(|block| world.save(block));
            let commands: Vec<&Block> = section
                .iter()
                .filter(|block| block.language == "sh" && block.not_run.is_none())
                .collect();
            if !commands.is_empty() {
                faults.extend(world.run(&page.name, &commands).err());
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n----\n"));
}

#[test]
fn what_is_pasted_into_other_systems_posts() {
    for page in pages() {
        let world = World::new();
        let posts: usize = page
            .blocks
            .iter()
            .filter(|block| block.not_run.is_none())
            .map(|block| snippets::check(&world, &page.name, block))
            .sum();
        assert!(posts > 0 || !is_for_callers(&page), "{}", page.name);
    }
}

/// Where the page at `/` has its reader put the token, the recipes do as well.
#[test]
fn the_page_and_the_recipes_agree() {
    let snippets =
        std::fs::read_to_string(world::root().join("src/http/page/snippets.js")).unwrap();
    for (page, agreed) in [
        ("docs/ci-github-actions.md", "${{ secrets.PROXY_TOKEN }}"),
        ("docs/ci-gitlab.md", "image: curlimages/curl"),
        ("docs/ci-gitlab.md", "stage: .post"),
        (
            "docs/ci-jenkins.md",
            "[string(credentialsId: 'proxy-token', variable: 'PROXY_TOKEN')]",
        ),
        ("docs/ci-circleci.md", "name: Tell the channel"),
        (
            "docs/senders.md",
            "HEALTHCHECK --interval=1m --retries=1 CMD curl -fsS http://localhost/health",
        ),
    ] {
        let recipe = std::fs::read_to_string(world::root().join(page)).unwrap();
        assert!(recipe.contains(agreed), "{page}: {agreed}");
        assert!(snippets.contains(agreed), "snippets.js: {agreed}");
    }
}

#[test]
fn the_nginx_of_the_page_hands_every_message_on_as_it_is() {
    let page = pages()
        .into_iter()
        .find(|page| page.name == "docs/front-proxies.md")
        .unwrap();
    let servers: Vec<&Block> = page
        .blocks
        .iter()
        .filter(|block| block.language == "nginx")
        .collect();
    assert!(!servers.is_empty());
    for block in servers {
        front::hands_on_every_message(&World::new(), &block.text);
    }
}

#[test]
fn every_block_is_of_a_kind_that_is_checked() {
    let mut not_run = Vec::new();
    for page in pages() {
        for block in page.blocks {
            assert!(
                LANGUAGES.contains(&block.language.as_str()),
                "{}:{}: {:?}",
                page.name,
                block.line,
                block.language
            );
            not_run.extend(block.not_run.map(|why| (page.name.clone(), why)));
        }
    }

    assert!(not_run.len() <= MAX_NOT_RUN, "{not_run:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut broken = Vec::new();

    for page in &pages {
        for (line, target) in &page.links {
            if !leads_somewhere(&pages, page, target) {
                broken.push(format!("{}:{line}: {target}", page.name));
            }
        }
    }

    assert!(broken.is_empty(), "{broken:#?}");
}

fn leads_somewhere(pages: &[Page], from: &Page, target: &str) -> bool {
    if target.contains("://") {
        return true;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = from.resolve(path);
    let exists = world::root().join(&file).exists();
    let known = pages.iter().find(|page| page.name == file);
    let found =
        anchor.is_empty() || known.is_some_and(|page| page.anchors.iter().any(|one| one == anchor));
    exists && found
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let pages = pages();
    let readme = pages.iter().find(|page| page.name == "README.md").unwrap();
    let linked: BTreeSet<&str> = readme
        .links
        .iter()
        .map(|(_, target)| target.split('#').next().unwrap_or_default())
        .collect();

    for page in pages.iter().filter(|page| page.name != "README.md") {
        assert!(linked.contains(page.name.as_str()), "{}", page.name);
    }
}

/// A variable that is set in an example is one that the program reads, or one of the shell.
#[test]
fn every_variable_that_is_exported_is_read_by_the_program() {
    let known: BTreeSet<String> = message_webhook_proxy::config::all_vars()
        .flat_map(|var| [var.name.to_owned(), format!("{}_FILE", var.name)])
        // Heroku's own.
        .chain(["DYNO".to_owned()])
        .collect();
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "sh") {
            let exports = block
                .text
                .lines()
                .filter_map(|line| line.trim().strip_prefix("export "));
            for word in exports.flat_map(str::split_whitespace) {
                let Some((name, _)) = word.split_once('=') else {
                    continue;
                };
                let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
                assert!(
                    !is_name || known.contains(name),
                    "{}:{}: {name}",
                    page.name,
                    block.line
                );
            }
        }
    }
}
