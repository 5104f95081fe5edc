//! The jobs that wait apart from their lanes, and what they wait for.

use std::collections::BTreeSet;

use super::GalleryError;
use crate::domain::{Lane, ProfileId, SubQueue, SubQueueOf};
use crate::queue::JobQueue;
use crate::store::Store;
use crate::view::queue::WaitingView;

/// The jobs that wait for campaigns, sources, profiles and galleries that the store names.
///
/// # Errors
/// If the store or the queue fails.
pub async fn waiting_jobs(
    store: &dyn Store,
    queue: &dyn JobQueue,
) -> Result<Vec<WaitingView>, GalleryError> {
    let (sub_queues, mut waiting): (Vec<SubQueue>, Vec<WaitingView>) =
        known_sub_queues(store).await?.into_iter().unzip();
    let counts = queue.waiting(&sub_queues).await?;
    waiting.iter_mut().zip(counts).for_each(|(waiting, jobs)| waiting.jobs = jobs);
    waiting.retain(|waiting| waiting.jobs > 0);
    Ok(waiting)
}

/// The sub-queues that may exist, and what their jobs wait for; with no jobs yet.
async fn known_sub_queues(store: &dyn Store) -> Result<Vec<(SubQueue, WaitingView)>, GalleryError> {
    let (campaigns, sources) = (store.open_campaigns().await?, store.source_statuses().await?);
    let galleries = store.galleries().await?;
    let of_galleries: Vec<_> = galleries
        .iter()
        .filter_map(|(gallery, profiles)| {
            let sub_queue =
                SubQueue { lane: Lane::Enrol, of: SubQueueOf::Gallery(gallery.clone()) };
            let place = format!("gallery {gallery}");
            let why = format!("enrolments for workers of its active profile {}", profiles.first()?);
            Some((sub_queue, WaitingView { place, jobs: 0, why }))
        })
        .collect();
    let profiles: BTreeSet<ProfileId> =
        galleries.into_iter().flat_map(|(_, profiles)| profiles).collect();
    let of_campaigns = campaigns.iter().map(|campaign| {
        let why = format!("{}, profile {}", campaign.state.as_str(), campaign.profile);
        let place = format!("campaign {}", campaign.id);
        (campaign.sub_queue(), WaitingView { place, jobs: 0, why })
    });
    let of_sources = sources.into_iter().flat_map(|source| {
        let why = source.trouble.unwrap_or_else(|| "it works".into());
        let place = format!("source {}", source.name);
        in_all_lanes(&SubQueueOf::Source(source.name), &WaitingView { place, jobs: 0, why })
    });
    let of_profiles = profiles.into_iter().flat_map(|profile| {
        let place = format!("profile {profile}");
        let why = "no worker with this profile has taken them yet".to_owned();
        in_all_lanes(&SubQueueOf::Profile(profile), &WaitingView { place, jobs: 0, why })
    });
    Ok(of_campaigns.chain(of_sources).chain(of_profiles).chain(of_galleries).collect())
}

fn in_all_lanes(of: &SubQueueOf, waiting: &WaitingView) -> [(SubQueue, WaitingView); 3] {
    Lane::ALL.map(|lane| (SubQueue { lane, of: of.clone() }, waiting.clone()))
}
