//! A folder as a reader of the pages has it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat};
use tempfile::TempDir;

use crate::support::networks::{View, iresnet};
use crate::support::s3::S3Server;
use crate::support::tape::Style;
use crate::support::{PHOTOS, sample};

/// Photos of each person in `labels.csv`. Together they are enough for percentiles (100 scored
/// images) and for a false match rate of 1e-3 (1,000 non-mated comparisons).
const PHOTOS_EACH: u16 = 35;
/// The length of the shorter side, for speed.
const SIDE: u32 = 240;

/// The home folder, in which the commands run.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["photos", "labelled", "models/fetched", "models/prepared"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        home.put_photos();
        home.put_labelled();
        home.put_models();
        home
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    /// The single photos that pages name, and `photos`, of which the README shows what a scan says.
    fn put_photos(&self) {
        let names = ["ada", "bob", "carol", "dan", "eve", "frank", "grace", "heidi"];
        let mut photos = Vec::new();
        for (name, sample) in names.iter().zip(PHOTOS) {
            let photo = jpeg(&small(sample));
            self.put(&format!("photos/{name}.jpg"), &photo);
            photos.push(photo);
        }
        self.put("photos/cat.jpg", &jpeg(&small("chelsea.png")));
        for number in 1..=3 {
            self.put(&format!("photos/cut{number}.jpg"), &photos[0][..4000 + number]);
            self.put(&format!("photos/film{number}.mp4"), b"\0\0\0\x18ftypmp42");
            let thumbnails = format!("photos/{number}/@eaDir");
            fs::create_dir_all(self.path().join(&thumbnails)).unwrap();
            self.put(&format!("{thumbnails}/ada.jpg"), &photos[0]);
        }
        for number in 1..=12 {
            self.put(&format!("photos/{number}.txt"), b"a text");
        }
        self.put("photos/LICENCE", b"a text");
        let drawing = DynamicImage::new_rgb8(64, 64);
        for number in 1..=10 {
            let path = self.path().join(format!("photos/{number}.png"));
            drawing.save_with_format(path, ImageFormat::Png).unwrap();
        }
        let people = "file,subject\nphotos/ada.jpg,ada\nphotos/carol.jpg,carol\n";
        self.put("people.csv", people.as_bytes());
        for (name, photo) in ["portrait.jpg", "a.jpg", "b.jpg"].iter().zip(&photos) {
            self.put(name, photo);
        }
        for (name, photo) in ["test_img.jpeg", "test_img2.jpeg"].iter().zip(&photos) {
            self.put(name, photo);
        }
    }

    /// `labels.csv`, and lists of the same photos. The photos are more and more blurred, so that
    /// some comparisons fail: a calibration needs that.
    fn put_labelled(&self) {
        let people = [
            ("Obama", "male", &["obama.jpg", "obama2.jpg"][..]),
            ("Biden", "male", &["biden.jpg"]),
            ("Collins", "female", &["astronaut.png"]),
        ];
        let mut labels = "file,subject,gender\n".to_owned();
        for (subject, gender, samples) in people {
            let photos: Vec<DynamicImage> = samples.iter().map(|name| small(name)).collect();
            for number in 0..PHOTOS_EACH {
                let photo = &photos[usize::from(number) % photos.len()];
                let file = format!("labelled/{subject}{number}.jpg");
                self.put(&file, &jpeg(&photo.fast_blur(0.3 + 0.12 * f32::from(number))));
                labels += &format!("{file},{subject},{gender}\n");
            }
        }
        self.put("labels.csv", labels.as_bytes());
        self.put("list.csv", labels.as_bytes());
        self.put("photos.csv", b"file,subject\nlabelled/Obama0.jpg,Obama\n");
        self.put("my.onnx", &iresnet(Style::pytorch(13), View::Computed).file());
    }

    /// A folder of models to which commands may add: the checkout's must stay as it is.
    fn put_models(&self) {
        let models = checkout("models");
        for folder in ["", "fetched", "prepared"] {
            for entry in fs::read_dir(models.join(folder)).unwrap() {
                let (from, to) = (entry.unwrap().path(), self.path().join("models").join(folder));
                if from.is_file() {
                    symlink(&from, to.join(from.file_name().unwrap())).unwrap();
                }
            }
        }
    }
}

/// The buckets that pages name.
pub fn buckets() -> S3Server {
    let server = S3Server::start();
    let photo = jpeg(&small("obama.jpg"));
    for (bucket, key) in [
        ("bucket", "photos/ada.jpg"),
        ("photos", "staff/ada.jpg"),
        ("faces", "2024/ada.jpg"),
        ("faces", "b.jpg"),
    ] {
        server.put(bucket, key, &photo);
    }
    fs::create_dir_all(server.path("lists")).unwrap();
    server
}

pub fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn small(name: &str) -> DynamicImage {
    let photo = image::load_from_memory(&sample(name)).unwrap();
    let scale = f64::from(SIDE) / f64::from(photo.width().min(photo.height()));
    let side = |length: u32| (f64::from(length) * scale).round() as u32;
    let (width, height) = (side(photo.width()), side(photo.height()));
    photo.resize_exact(width, height, FilterType::Triangle).to_rgb8().into()
}

fn jpeg(photo: &DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    photo.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}
