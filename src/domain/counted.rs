//! Counts for people.

/// `count` of a thing: "1 image", "2 images".
pub fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// The words for `count` of what has more than a letter to change: `one` or `many`.
pub fn one_or_many<'a>(count: u64, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let told = [0, 1, 2].map(|count| counted(count, "image"));
        assert_eq!(told, ["0 images", "1 image", "2 images"]);
    }
}
