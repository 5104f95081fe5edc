//! Where images come from: listings and sources by the settings.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::App;
use crate::domain::AlignmentProfile;
use crate::images::{
    ChipCache, FetchLimits, ImageLists, ImageVersions, KeptChips, ListFormat, ListPlace,
    ListSources, Listing, NamedImages, NamedPlace, Objects, Places, Root, Rules, Sources,
};

impl App {
    /// Images below `roots` and wherever the settings allow.
    ///
    /// # Errors
    /// If a local root does not exist, or a setting cannot be used.
    pub fn images(&self, roots: &[Root]) -> Result<Sources> {
        self.images_below(self.allowed(roots)?)
    }

    /// `roots`, and those that the settings allow.
    ///
    /// # Errors
    /// If a setting is not a root.
    pub fn allowed(&self, roots: &[Root]) -> Result<Vec<Root>> {
        Ok(roots.iter().cloned().chain(self.allowed_roots()?).collect())
    }

    /// Images below `allowed` and nowhere else.
    pub(super) fn images_below(&self, allowed: Vec<Root>) -> Result<Sources> {
        let (authorities, limits) = (self.authorities()?, self.fetch_limits());
        Ok(Sources::new(
            allowed,
            &self.settings.images.allow_private_hosts,
            authorities.as_deref(),
            self.objects()?,
            limits,
        )?)
    }

    /// The places of the setting `images.allow`.
    ///
    /// # Errors
    /// If one is not a place.
    pub fn allowed_roots(&self) -> Result<Vec<Root>> {
        let allowed = self.settings.images.allow.iter().filter(|root| !root.is_empty());
        let allowed: Result<Vec<Root>, _> = allowed.map(|root| root.parse()).collect();
        allowed.context("setting images.allow")
    }

    /// The lists at `places`, of `format` or each of the format that it is recognised by.
    ///
    /// # Errors
    /// If a list cannot be read.
    pub async fn lists(
        &self,
        places: &[ListPlace],
        format: Option<ListFormat>,
    ) -> Result<ImageLists> {
        let sources = ListSources {
            objects: self.objects()?,
            private_hosts: self.settings.images.allow_private_hosts.clone(),
            authorities: self.authorities()?,
            limits: self.fetch_limits(),
        };
        Ok(sources.open(places, format).await?)
    }

    /// Everything below `roots`.
    ///
    /// # Errors
    /// If a local root does not exist, or a root cannot be listed.
    pub fn listing(&self, roots: &[Root]) -> Result<Listing> {
        self.listing_by(Rules::none(), roots)
    }

    /// Everything below `roots` that `rules` do not leave out.
    ///
    /// # Errors
    /// If a local root does not exist, or a root cannot be listed.
    pub fn listing_by(&self, rules: Rules, roots: &[Root]) -> Result<Listing> {
        Ok(Listing::new(roots, rules, self.objects()?)?)
    }

    /// The images that `places` name, and those below them that a scan would list.
    ///
    /// # Errors
    /// If one of them cannot be listed.
    pub fn named_images(&self, places: Vec<NamedPlace>) -> Result<NamedImages> {
        Ok(NamedImages::new(places, Rules::new(&[], &[])?, self.objects()?)?)
    }

    /// What asks for the versions of images in places that this process may read.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn versions(&self, readable: Places) -> Result<ImageVersions> {
        Ok(ImageVersions::new(self.objects()?, Arc::new(readable)))
    }

    /// The chip cache of the settings, for what `alignment` finds; none if it is off.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn chips(&self, alignment: &AlignmentProfile) -> Result<Option<Arc<ChipCache>>> {
        let Some(root) = self.chips_root()? else { return Ok(None) };
        let cache = ChipCache::new(root, self.objects()?, alignment.clone());
        Ok(Some(Arc::new(cache.with_context(|| self.no_chips())?)))
    }

    /// All that the chip cache of the settings keeps; none if it is off.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn kept_chips(&self) -> Result<Option<KeptChips>> {
        let Some(root) = self.chips_root()? else { return Ok(None) };
        KeptChips::new(root, self.objects()?).with_context(|| self.no_chips()).map(Some)
    }

    /// Where the chip cache is; none if it is off.
    fn chips_root(&self) -> Result<Option<Root>> {
        let url = &self.settings.chips.url;
        if url.is_empty() {
            return Ok(None);
        }
        Ok(Some(match url.parse().context("setting chips.url")? {
            Root::Path(folder) => Root::Path(self.settings.below_home(&folder)),
            other => other,
        }))
    }

    fn no_chips(&self) -> String {
        let url = &self.settings.chips.url;
        format!("setting chips.url = {url}: use a folder, or a bucket (s3:, gs:, az:)")
    }

    /// The object stores of this process's environment.
    fn objects(&self) -> Result<Arc<Objects>> {
        // Skip variables that are not UTF-8: no cloud setting needs them.
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        let authorities = self.authorities()?;
        Ok(Arc::new(
            Objects::new(variables, authorities.as_deref(), self.fetch_limits())
                .context("setting images.ca_file")?,
        ))
    }

    fn authorities(&self) -> Result<Option<Vec<u8>>> {
        // Treat an empty string as unset: variables of a container often are empty.
        let file = self.settings.images.ca_file.as_ref();
        let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) else { return Ok(None) };
        let read = std::fs::read(path);
        read.map(Some).with_context(|| format!("setting images.ca_file: {}", path.display()))
    }

    fn fetch_limits(&self) -> FetchLimits {
        let images = &self.settings.images;
        FetchLimits {
            max_bytes: self.settings.limits.max_bytes,
            whole: Duration::from_millis(images.timeout_ms),
            connect: Duration::from_millis(images.connect_timeout_ms),
            idle: Duration::from_millis(images.idle_timeout_ms),
            redirects: images.redirects,
        }
    }
}
