//! The newest version, and how the next one comes to be.

use std::io;
use std::sync::Arc;

use ferula_objects::{Created, Objects, read_all};

use super::Manifest;
use super::text::BYTES_MAX;

/// Versions kept beside the newest, for those who look for what happened.
const OLD_VERSIONS_KEPT: u64 = 3;

/// Why there is no manifest, or no next one.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read or written now.
    #[error("manifest: {0}")]
    Io(#[from] io::Error),
    /// The newest one is not what was written.
    #[error("manifest {key}: {what}; put back a copy of this file, or restore a backup")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// Another owner wrote a version meanwhile.
    #[error("manifest {key}: another owner has written this version: this one is fenced off")]
    Fenced {
        /// The object.
        key: String,
    },
}

/// The manifests of one shard, in the hands of its owner.
#[derive(Debug)]
pub struct Manifests {
    objects: Arc<dyn Objects>,
    folder: String,
    newest: Manifest,
}

impl Manifests {
    /// Reads the newest version; with none, begins with nothing.
    pub fn open(
        objects: Arc<dyn Objects>,
        cluster: [u8; 16],
        shard: u32,
    ) -> Result<Self, ManifestError> {
        let folder = format!("s/{shard}/manifest");
        let versions = objects.list(&folder)?;
        let newest = match versions.iter().filter_map(|name| version(name)).max() {
            None => Manifest::empty(cluster, shard),
            Some(version) => {
                let key = key(&folder, version);
                let bytes = read_all(&*objects, &key, BYTES_MAX)?;
                let damaged = |what| ManifestError::Damaged {
                    key: key.clone(),
                    what,
                };
                let manifest = Manifest::decode(&bytes).map_err(damaged)?;
                if manifest.version != version {
                    return Err(damaged("renamed: it is another version".to_owned()));
                }
                if manifest.cluster != cluster || manifest.shard != shard {
                    let what = "it belongs to another data directory or shard";
                    return Err(damaged(what.to_owned()));
                }
                manifest
            }
        };
        Ok(Self {
            objects,
            folder,
            newest,
        })
    }

    /// The newest version.
    pub fn newest(&self) -> &Manifest {
        &self.newest
    }

    /// Makes `next`, which was made from the newest version, the newest one. Its version, nonce
    /// and parent are set here. After an error that is not [`ManifestError::Fenced`] it may or
    /// may not have become so: the same `next` may be tried again.
    pub fn commit(&mut self, mut next: Manifest, nonce: u64) -> Result<(), ManifestError> {
        next.version = self.newest.version + 1;
        next.parent = self.newest.nonce;
        next.nonce = nonce;
        next.sort();
        let key = key(&self.folder, next.version);
        match self.objects.create(&key, &next.encode())? {
            Created::New => {}
            Created::Exists => {
                // An attempt whose answer was lost may have been this one's own.
                let there = read_all(&*self.objects, &key, BYTES_MAX)?;
                if Manifest::decode(&there).map(|m| m.nonce) != Ok(nonce) {
                    return Err(ManifestError::Fenced { key });
                }
            }
        }
        let later = self.objects.list(&self.folder)?;
        if later.iter().filter_map(|name| version(name)).max() > Some(next.version) {
            return Err(ManifestError::Fenced { key });
        }
        self.newest = next;
        self.forget_old();
        Ok(())
    }

    /// Deletes versions nobody needs. What is left behind is deleted by the next commit.
    fn forget_old(&self) {
        let Ok(names) = self.objects.list(&self.folder) else {
            return;
        };
        let keep_from = self.newest.version.saturating_sub(OLD_VERSIONS_KEPT);
        for old in names.iter().filter_map(|name| version(name)) {
            if old < keep_from {
                let _ = self.objects.delete(&key(&self.folder, old));
            }
        }
    }
}

pub(super) fn key(folder: &str, version: u64) -> String {
    format!("{folder}/{version:020}.mf")
}

pub(super) fn version(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".mf")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_env::SystemDisk;
    use ferula_objects::LocalObjects;

    fn open(dir: &std::path::Path) -> Result<Manifests, ManifestError> {
        let objects = LocalObjects::open(SystemDisk::shared(), dir).unwrap();
        Manifests::open(Arc::new(objects), [1; 16], 0)
    }

    fn next(manifests: &Manifests, floor: i64) -> Manifest {
        Manifest {
            floor: Some(floor),
            ..manifests.newest().clone()
        }
    }

    #[test]
    fn the_newest_version_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mut manifests = open(dir.path()).unwrap();
        assert_eq!(manifests.newest().version, 0);
        for i in 1..=9 {
            manifests.commit(next(&manifests, i), i as u64).unwrap();
            assert_eq!(open(dir.path()).unwrap().newest(), manifests.newest());
        }
        assert_eq!(manifests.newest().version, 9);
        assert_eq!(manifests.newest().parent, 8);
        let files = SystemDisk::shared().list(&dir.path().join("s/0/manifest"));
        assert_eq!(files.unwrap().len(), 4);
    }

    #[test]
    fn of_two_writers_one_is_fenced_off() {
        let dir = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (open(dir.path()).unwrap(), open(dir.path()).unwrap());
        one.commit(next(&one, 1), 1).unwrap();
        let fenced = two.commit(next(&two, 2), 2).unwrap_err();
        assert!(matches!(fenced, ManifestError::Fenced { .. }), "{fenced}");
        // Its own lost attempt is no other writer.
        let mut again = open(dir.path()).unwrap();
        one.commit(next(&one, 3), 3).unwrap();
        again.commit(next(&again, 3), 3).unwrap();
        assert_eq!(open(dir.path()).unwrap().newest().floor, Some(3));
    }

    #[test]
    fn a_damaged_or_foreign_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut manifests = open(dir.path()).unwrap();
        manifests.commit(next(&manifests, 1), 1).unwrap();
        let objects = LocalObjects::open(SystemDisk::shared(), dir.path()).unwrap();
        let foreign = Manifests::open(Arc::new(objects), [2; 16], 0).unwrap_err();
        assert!(
            foreign.to_string().contains("another data directory"),
            "{foreign}"
        );
        let path = dir.path().join("s/0/manifest/00000000000000000001.mf");
        let file = SystemDisk::shared().open(&path).unwrap();
        file.write_at(b"X", 40).unwrap();
        let damaged = open(dir.path()).unwrap_err().to_string();
        assert!(
            damaged.contains("00000000000000000001.mf: its checksum"),
            "{damaged}"
        );
    }
}
