//! Files and folders by name: what processes see, what is durable, and what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::content::{Content, Random};
use super::{Crash, at};
use crate::FileStat;

/// What a name leads to.
pub(super) type Id = u64;

/// The root folder.
const ROOT: Id = 0;

/// All files and folders.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<Id, Node>,
    next: Id,
    /// Counts changes; stands in for the time of change.
    changes: u64,
    capacity: Option<u64>,
    locked: BTreeSet<Id>,
    /// Whose sync failed how, differs from one to the next.
    failures: Random,
}

#[derive(Clone, Debug)]
enum Node {
    File(File),
    Folder(Folder),
}

#[derive(Clone, Debug, Default)]
struct File {
    content: Content,
    opened: usize,
    changed: u64,
}

type Names = BTreeMap<String, Id>;

#[derive(Clone, Debug, Default)]
struct Folder {
    live: Names,
    durable: Names,
    pending: Vec<Entry>,
}

/// A change of a folder, durable as a whole or not at all.
#[derive(Clone, Debug)]
enum Entry {
    Add(String, Id),
    Remove(String),
    Rename { from: String, to: String, id: Id },
}

impl Entry {
    fn perform(&self, names: &mut Names) {
        match self {
            Self::Add(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename { from, to, id } => {
                names.remove(from);
                names.insert(to.clone(), *id);
            }
        }
    }
}

impl Folder {
    fn change(&mut self, entry: Entry) {
        entry.perform(&mut self.live);
        self.pending.push(entry);
    }

    fn sync(&mut self) {
        for entry in self.pending.drain(..) {
            entry.perform(&mut self.durable);
        }
    }

    /// What a power cut leaves if a part of the pending changes is durable.
    fn lose_some(&self, random: &mut Random) -> Names {
        let mut names = self.durable.clone();
        // Of all changes, of none, or of some.
        let kept = random.below(4);
        for entry in &self.pending {
            if kept == 1 || kept > 1 && random.coin() {
                entry.perform(&mut names);
            }
        }
        names
    }

    fn of(names: Names) -> Self {
        Self {
            live: names.clone(),
            durable: names,
            pending: Vec::new(),
        }
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Folder(Folder::default()))]),
            next: ROOT + 1,
            changes: 0,
            capacity: None,
            locked: BTreeSet::new(),
            failures: Random::new(0),
        }
    }
}

fn parts(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

impl Tree {
    fn folder(&self, id: Id) -> Option<&Folder> {
        match self.nodes.get(&id) {
            Some(Node::Folder(folder)) => Some(folder),
            _ => None,
        }
    }

    fn folder_mut(&mut self, id: Id) -> &mut Folder {
        match self.nodes.get_mut(&id) {
            Some(Node::Folder(folder)) => folder,
            _ => unreachable!("only folders are asked for as folders"),
        }
    }

    fn file_mut(&mut self, id: Id) -> &mut File {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => file,
            _ => unreachable!("only files are asked for as files"),
        }
    }

    fn find(&self, path: &Path) -> Option<Id> {
        parts(path).try_fold(ROOT, |id, name| self.folder(id)?.live.get(name).copied())
    }

    /// The folder that a path's last name is in, and that name.
    fn place(&self, path: &Path) -> io::Result<(Id, String)> {
        let name = parts(path).last();
        let name = name.ok_or_else(|| at(path, io::ErrorKind::InvalidInput, "no name"))?;
        let above = path.parent().unwrap_or(Path::new(""));
        Ok((self.dir_at(above)?, name.to_owned()))
    }

    fn free_place(&self, path: &Path) -> io::Result<(Id, String)> {
        if self.exists(path) {
            return Err(at(path, io::ErrorKind::AlreadyExists, "exists"));
        }
        self.place(path)
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.find(path).is_some()
    }

    pub(super) fn dir_at(&self, path: &Path) -> io::Result<Id> {
        let id = self.find(path);
        let id = id.ok_or_else(|| at(path, io::ErrorKind::NotFound, "no such folder"))?;
        match self.folder(id) {
            Some(_) => Ok(id),
            None => Err(at(path, io::ErrorKind::NotADirectory, "no folder")),
        }
    }

    pub(super) fn file_at(&self, path: &Path) -> io::Result<Id> {
        let id = self.find(path);
        let id = id.ok_or_else(|| at(path, io::ErrorKind::NotFound, "no such file"))?;
        match self.folder(id) {
            Some(_) => Err(at(path, io::ErrorKind::IsADirectory, "a folder")),
            None => Ok(id),
        }
    }

    fn add(&mut self, node: Node) -> Id {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        id
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<Id> {
        let (folder, name) = self.free_place(path)?;
        let id = self.add(Node::File(File::default()));
        self.folder_mut(folder).change(Entry::Add(name, id));
        self.touch(id);
        Ok(id)
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.free_place(path)?;
        let id = self.add(Node::Folder(Folder::default()));
        self.folder_mut(folder).change(Entry::Add(name, id));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.find(from);
        let id = id.ok_or_else(|| at(from, io::ErrorKind::NotFound, "no such file"))?;
        let ((source, from), (target, to)) = (self.place(from)?, self.place(to)?);
        if source == target {
            self.folder_mut(source)
                .change(Entry::Rename { from, to, id });
        } else {
            self.folder_mut(target).change(Entry::Add(to, id));
            self.folder_mut(source).change(Entry::Remove(from));
        }
        Ok(())
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.file_at(from)?;
        let (folder, name) = self.free_place(to)?;
        self.folder_mut(folder).change(Entry::Add(name, id));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file_at(path)?;
        let (folder, name) = self.place(path)?;
        self.folder_mut(folder).change(Entry::Remove(name));
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let id = self.dir_at(path)?;
        if !self.folder_mut(id).live.is_empty() {
            return Err(at(path, io::ErrorKind::DirectoryNotEmpty, "not empty"));
        }
        let (folder, name) = self.place(path)?;
        self.folder_mut(folder).change(Entry::Remove(name));
        Ok(())
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        if !self.exists(dir) {
            return Ok(Vec::new());
        }
        let id = self.dir_at(dir)?;
        let names = self.folder(id).map(|folder| folder.live.keys().cloned());
        Ok(names.into_iter().flatten().collect())
    }

    pub(super) fn stat(&mut self, path: &Path) -> io::Result<FileStat> {
        let id = self.file_at(path)?;
        let file = self.file_mut(id);
        Ok(FileStat {
            len: file.content.len(),
            modified_ns: file.changed as i64,
            inode: id,
        })
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![(ROOT, PathBuf::from("/"))];
        while let Some((id, path)) = folders.pop() {
            let names = self.folder(id).map(|folder| &folder.live);
            for (name, id) in names.into_iter().flatten() {
                let path = path.join(name);
                match self.folder(*id) {
                    Some(_) => folders.push((*id, path)),
                    None => found.push(path),
                }
            }
        }
        found.sort();
        found
    }

    pub(super) fn content(&mut self, id: Id) -> &mut Content {
        &mut self.file_mut(id).content
    }

    pub(super) fn touch(&mut self, id: Id) {
        self.changes += 1;
        self.file_mut(id).changed = self.changes;
    }

    pub(super) fn opened(&mut self, id: Id) {
        self.file_mut(id).opened += 1;
    }

    pub(super) fn closed(&mut self, id: Id) {
        self.file_mut(id).opened -= 1;
    }

    pub(super) fn lock(&mut self, id: Id) -> bool {
        self.locked.insert(id)
    }

    pub(super) fn unlock(&mut self, id: Id) {
        self.locked.remove(&id);
    }

    pub(super) fn sync_dir(&mut self, id: Id) {
        self.folder_mut(id).sync();
    }

    pub(super) fn fail_sync(&mut self, id: Id) {
        let mut random = self.failures.clone();
        self.content(id).fail_sync(&mut random);
        self.failures = random;
    }

    pub(super) fn fail_sync_dir(&mut self, id: Id) {
        let mut random = self.failures.clone();
        let folder = self.folder_mut(id);
        // Unlike a file's bytes, names are kept until they are written: or the whole file system
        // refuses to go on.
        folder.durable = folder.lose_some(&mut random);
        self.failures = random;
    }

    pub(super) fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    /// Files that have a name or are open take space.
    pub(super) fn used(&self) -> u64 {
        let folders = self.nodes.values().filter_map(|node| match node {
            Node::Folder(folder) => Some(folder),
            Node::File(_) => None,
        });
        let named: BTreeSet<Id> = folders.flat_map(|f| f.live.values().copied()).collect();
        let files = self.nodes.iter().filter_map(|(id, node)| match node {
            Node::File(file) if file.opened > 0 || named.contains(id) => Some(file.content.len()),
            _ => None,
        });
        files.sum()
    }

    /// Up to which length a file may grow that is wanted to have `len` bytes.
    pub(super) fn fits(&mut self, id: Id, len: u64) -> u64 {
        let Some(capacity) = self.capacity else {
            return len;
        };
        let own = self.content(id).len();
        let free = capacity.saturating_sub(self.used());
        len.min(own + free)
    }

    /// What is found after a crash.
    pub(super) fn crash(&self, crash: Crash) -> Self {
        let mut random = Random::new(match crash {
            Crash::PowerLosesSome(seed) => seed,
            Crash::Process | Crash::PowerLosesAll => 0,
        });
        let mut nodes = BTreeMap::new();
        for (id, node) in &self.nodes {
            let node = match (node, crash) {
                (Node::File(file), _) => Node::File(File {
                    content: match crash {
                        Crash::Process => file.content.clone(),
                        Crash::PowerLosesAll => file.content.lose_all(),
                        Crash::PowerLosesSome(_) => file.content.lose_some(&mut random),
                    },
                    opened: 0,
                    changed: file.changed,
                }),
                (Node::Folder(folder), Crash::Process) => Node::Folder(folder.clone()),
                (Node::Folder(folder), Crash::PowerLosesAll) => {
                    Node::Folder(Folder::of(folder.durable.clone()))
                }
                (Node::Folder(folder), Crash::PowerLosesSome(_)) => {
                    Node::Folder(Folder::of(folder.lose_some(&mut random)))
                }
            };
            nodes.insert(*id, node);
        }
        let mut tree = Self {
            nodes,
            next: self.next,
            changes: self.changes,
            capacity: self.capacity,
            locked: BTreeSet::new(),
            failures: random,
        };
        tree.forget_unreachable();
        tree
    }

    /// Drops what no name leads to, neither one that is seen nor one that may come back.
    fn forget_unreachable(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut folders = vec![ROOT];
        while let Some(folder) = folders.pop().and_then(|id| self.folder(id)) {
            let pending = folder.pending.iter().filter_map(|entry| match entry {
                Entry::Add(_, id) | Entry::Rename { id, .. } => Some(id),
                Entry::Remove(_) => None,
            });
            let names = folder.live.values().chain(folder.durable.values());
            for id in names.chain(pending) {
                if reached.insert(*id) && self.folder(*id).is_some() {
                    folders.push(*id);
                }
            }
        }
        self.nodes.retain(|id, _| reached.contains(id));
    }
}
