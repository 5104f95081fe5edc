//! Images unlike their own subject, and one person under two subjects.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::load::{CuratedGallery, CuratedImage};
use super::suggestion::{Evidence, Suggestion};
use super::{CurateError, order, shown};
use crate::domain::{ImageId, Template, Verdict};
use crate::matching::{Neighbour, TemplateIndex};

/// The fewest images of a subject by which one of them can be told to be unlike.
const FEWEST: usize = 3;
/// Subjects that one is compared with in detail.
const NEIGHBOURS: usize = 8;
/// Probes that are searched with at once.
const BATCH: usize = 256;

/// The images of a subject, by place, and the sum of their templates.
struct Person {
    places: Vec<usize>,
    sum: Vec<f64>,
    mean: Template,
}

/// Subjects by name, and an index of their means.
struct SubjectMeans {
    people: Vec<Person>,
    index: TemplateIndex<usize>,
}

impl SubjectMeans {
    fn new(gallery: &CuratedGallery) -> Result<Self, CurateError> {
        let mut people = Vec::new();
        for places in gallery.people().into_values() {
            let templates = places.iter().map(|&place| &gallery.images[place].template);
            let mut sum: Vec<f64> = Vec::new();
            for template in templates {
                sum.resize(template.as_slice().len(), 0.0);
                let values = sum.iter_mut().zip(template.as_slice());
                values.for_each(|(sum, value)| *sum += f64::from(*value));
            }
            // Templates whose sum is no direction have no mean to compare with.
            if let Some(mean) = direction(&sum) {
                people.push(Person { places, sum, mean });
            }
        }
        let dimension = people.first().map_or(0, |person| person.sum.len());
        let mut index = TemplateIndex::new(dimension, people.len());
        for (place, person) in people.iter().enumerate() {
            index.extend(&[place], &person.mean.to_halves())?;
        }
        Ok(Self { people, index })
    }

    /// The `k` people whose means are most similar to each of the templates.
    fn nearest(
        &self,
        probes: &[Template],
        (k, least): (usize, f64),
        threads: usize,
    ) -> Result<Vec<Vec<Neighbour<usize>>>, CurateError> {
        let mut found = Vec::with_capacity(probes.len());
        for batch in probes.chunks(BATCH) {
            found.extend(self.index.nearest(batch, k, least, threads)?);
        }
        Ok(found)
    }
}

/// The direction of a vector; none if it has none.
fn direction(sum: &[f64]) -> Option<Template> {
    let values: Vec<f32> = sum.iter().map(|&value| value as f32).collect();
    Template::from_embedding(&values).ok().map(|(template, _)| template)
}

/// The mean of a person's other images.
fn mean_without(person: &Person, template: &Template) -> Option<Template> {
    let values = person.sum.iter().zip(template.as_slice());
    let rest: Vec<f64> = values.map(|(sum, value)| sum - f64::from(*value)).collect();
    direction(&rest)
}

/// Images that match no other image of their subject, or are more similar to another subject, the
/// most unlike first. Nobody kept or reassigned them, and their subjects have three images or more.
pub(super) fn outliers(
    gallery: &CuratedGallery,
    threshold: f64,
    limit: usize,
    threads: usize,
) -> Result<Vec<Suggestion>, CurateError> {
    let people = SubjectMeans::new(gallery)?;
    let of_people = people.people.iter().enumerate();
    let of_several = of_people.filter(|(_, person)| person.places.len() >= FEWEST);
    let asked: Vec<(usize, usize)> =
        of_several.flat_map(|(of, it)| it.places.iter().map(move |&place| (of, place))).collect();
    let probes: Vec<Template> =
        asked.iter().map(|&(_, place)| gallery.images[place].template.clone()).collect();
    let found = people.nearest(&probes, (2, -2.0), threads)?;
    let mut rows: Vec<(f64, Suggestion)> = Vec::new();
    for ((of, place), found) in asked.into_iter().zip(found) {
        let image = &gallery.images[place];
        let own = &people.people[of];
        let Some(rest) = mean_without(own, &image.template) else { continue };
        let own_similarity = image.template.similarity(&rest);
        let other = found.into_iter().find(|found| found.key != of);
        let other_similarity = other.map(|found| found.similarity);
        if image.kept || image.reassigned {
            continue;
        }
        // Others that do not belong there may spoil the mean: one image that matches is enough.
        let matches_own = own_similarity > threshold || {
            let others: Vec<usize> = own.places.iter().copied().filter(|it| *it != place).collect();
            most_like(gallery, &image.template, &others).is_some_and(|(_, it)| it > threshold)
        };
        if matches_own && other_similarity.is_none_or(|it| it <= own_similarity) {
            continue;
        }
        let worst = own_similarity - other_similarity.unwrap_or(-1.0).max(threshold);
        let other = other.map(|found| &people.people[found.key]);
        let row = outlier(
            gallery,
            image,
            (own_similarity, own.places.len() - 1, matches_own),
            other.zip(other_similarity),
            threshold,
        );
        rows.push((worst, row));
    }
    rows.sort_by(|a, b| order(a.0, b.0).then(a.1.images.cmp(&b.1.images)));
    Ok(rows.into_iter().map(|(_, row)| row).take(limit).collect())
}

/// It is reassigned if it matches somebody else better, excluded if it matches nobody; an image
/// that matches its subject is left to a person.
fn outlier(
    gallery: &CuratedGallery,
    image: &CuratedImage,
    (own, others, matches_own): (f64, usize, bool),
    other: Option<(&Person, f64)>,
    threshold: f64,
) -> Suggestion {
    let like = other.and_then(|(person, _)| most_like(gallery, &image.template, &person.places));
    let told_apart = like.is_some_and(|(place, _)| {
        gallery.are_told_apart(image.image.id, gallery.images[place].image.id)
    });
    let other_similarity = other.map(|(_, similarity)| similarity);
    let matches_other = other_similarity.is_some_and(|it| it > threshold && it > own);
    let subject = like.and_then(|(place, _)| gallery.images[place].subject());
    let verdict = match subject {
        Some(subject) if matches_other && !told_apart => Some(Verdict::Reassign(subject.clone())),
        _ if !matches_own => Some(Verdict::Exclude),
        _ => None,
    };
    Suggestion {
        image: shown(image),
        other: like.map(|(place, _)| shown(&gallery.images[place])),
        evidence: Evidence::Unlike { own, others, other: other_similarity },
        verdict,
        images: vec![image.image.id],
    }
}

/// The most similar of some images.
fn most_like(
    gallery: &CuratedGallery,
    template: &Template,
    places: &[usize],
) -> Option<(usize, f64)> {
    let similarity = |&place: &usize| (place, template.similarity(&gallery.images[place].template));
    places.iter().map(similarity).max_by(|a, b| order(a.1, b.1).then(b.0.cmp(&a.0)))
}

/// Pairs of subjects whose means match, the most similar first, but for those of which somebody
/// told images apart. The images of the one with fewer are to get the name of the other: it is then
/// in no later pair, or an image would have several verdicts, of which the weakest counts.
pub(super) fn collisions(
    gallery: &CuratedGallery,
    threshold: f64,
    limit: usize,
    threads: usize,
) -> Result<Vec<Suggestion>, CurateError> {
    let people = SubjectMeans::new(gallery)?;
    let means: Vec<Template> = people.people.iter().map(|person| person.mean.clone()).collect();
    let found = people.nearest(&means, (NEIGHBOURS, threshold.next_up()), threads)?;
    let mut of_pairs: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for (one, found) in found.into_iter().enumerate() {
        for Neighbour { key: other, similarity } in found.into_iter().filter(|it| it.key != one) {
            of_pairs.insert((one.min(other), one.max(other)), similarity);
        }
    }
    let apart = told_apart(gallery, &people);
    of_pairs.retain(|pair, _| !apart.contains(pair));
    let mut pairs: Vec<((usize, usize), f64)> = of_pairs.into_iter().collect();
    pairs.sort_by(|a, b| order(b.1, a.1).then(a.0.cmp(&b.0)));
    let (mut rows, mut renamed) = (Vec::new(), BTreeSet::new());
    for ((one, other), similarity) in pairs {
        if rows.len() == limit {
            break;
        }
        if renamed.contains(&one) || renamed.contains(&other) {
            continue;
        }
        let size = |of: usize| people.people[of].places.len();
        let (few, many) = if size(one) < size(other) { (one, other) } else { (other, one) };
        let pair = (&people.people[few], &people.people[many]);
        if let Some(row) = collision(gallery, pair, similarity) {
            renamed.insert(few);
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The pairs of people, the lower place first, of whom somebody told images apart.
fn told_apart(gallery: &CuratedGallery, people: &SubjectMeans) -> BTreeSet<(usize, usize)> {
    let mut of: HashMap<ImageId, usize> = HashMap::new();
    for (person, of_person) in people.people.iter().enumerate() {
        of.extend(of_person.places.iter().map(|&place| (gallery.images[place].image.id, person)));
    }
    let pairs = gallery.told_apart().filter_map(|(one, other)| of.get(&one).zip(of.get(&other)));
    pairs.map(|(&one, &other)| (one.min(other), one.max(other))).collect()
}

/// None if somebody decided about each image of the one with fewer.
fn collision(
    gallery: &CuratedGallery,
    (few, many): (&Person, &Person),
    similarity: f64,
) -> Option<Suggestion> {
    let is_open = |place: &usize| {
        let image = &gallery.images[*place];
        !image.kept && !image.reassigned
    };
    let open: Vec<usize> = few.places.iter().copied().filter(is_open).collect();
    let pairs = open.iter().filter_map(|&place| {
        let found = most_like(gallery, &gallery.images[place].template, &many.places)?;
        Some((place, found))
    });
    let (place, (like, images)) = pairs.max_by(|a, b| order(a.1.1, b.1.1))?;
    let subject = gallery.images[like].subject()?.clone();
    Some(Suggestion {
        image: shown(&gallery.images[place]),
        other: Some(shown(&gallery.images[like])),
        evidence: Evidence::OnePerson {
            similarity,
            images,
            counts: (few.places.len(), many.places.len()),
        },
        verdict: Some(Verdict::Reassign(subject)),
        images: open.iter().map(|&place| gallery.images[place].image.id).collect(),
    })
}
