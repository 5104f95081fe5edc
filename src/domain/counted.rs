//! Counts for people.

/// `count` of a thing: "1 image", "2 images".
pub fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
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
