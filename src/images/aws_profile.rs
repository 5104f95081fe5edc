//! Reads the shared files of the AWS tools, `~/.aws/credentials` and `~/.aws/config`: static keys,
//! region and endpoint of a profile. A profile that needs a program or a sign-in is an error that
//! names it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The settings of a profile, under the names of the equivalent environment variables.
#[derive(Default)]
pub(super) struct AwsProfile(Vec<(&'static str, String)>);

/// Keys in the files, and the equivalent environment variables.
const CREDENTIAL_KEYS: [(&str, &str); 3] = [
    ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("aws_session_token", "AWS_SESSION_TOKEN"),
];
const LOCATION_KEYS: [(&str, &str); 2] =
    [("region", "AWS_REGION"), ("endpoint_url", "AWS_ENDPOINT_URL")];

/// Ways to get credentials that are not supported: they need a program, a browser or another
/// service.
const UNSUPPORTED: [&str; 5] =
    ["credential_process", "sso_session", "sso_start_url", "role_arn", "login_session"];

impl AwsProfile {
    /// Reads the profile that `AWS_PROFILE` names, or `default`. Ignores the credentials in the
    /// files if the environment has credentials.
    ///
    /// # Errors
    /// If no file has the named profile, or its credentials come in an unsupported way.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let home = variable("HOME").map(|home| Path::new(&home).join(".aws"));
        let text = |name: &str, file: &str| {
            let path = variable(name)
                .map(PathBuf::from)
                .or_else(|| home.as_ref().map(|home| home.join(file)));
            path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
        };
        let named = variable("AWS_PROFILE");
        let name = named.as_deref().unwrap_or("default");
        let config = text("AWS_CONFIG_FILE", "config");
        let credentials = text("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let in_config =
            section(&config, &format!("profile {name}")).or_else(|| section(&config, name));
        let in_credentials = section(&credentials, name);
        if named.is_some() && in_config.is_none() && in_credentials.is_none() {
            return Err(format!(
                "AWS_PROFILE names the profile '{name}', but neither ~/.aws/config nor \
                    ~/.aws/credentials has it"
            ));
        }
        let mut found = in_config.unwrap_or_default();
        found.extend(in_credentials.unwrap_or_default());

        let in_environment =
            ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE"]
                .into_iter()
                .chain([
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                ])
                .any(|name| variable(name).is_some());
        // A region in the environment, under either name, overrides the file's.
        let region_set =
            variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).is_some();
        let locations = LOCATION_KEYS.iter().filter(|(key, _)| !(region_set && *key == "region"));
        let mut settings: Vec<_> = locations
            .filter_map(|&(key, name)| Some((name, (*found.get(key)?).to_owned())))
            .collect();
        if !in_environment {
            settings.extend(
                CREDENTIAL_KEYS
                    .iter()
                    .filter_map(|&(key, name)| Some((name, (*found.get(key)?).to_owned()))),
            );
            let unsupported = UNSUPPORTED.into_iter().find(|key| found.contains_key(key));
            if let Some(key) = unsupported.filter(|_| !found.contains_key("aws_access_key_id")) {
                return Err(format!(
                    "the AWS profile '{name}' gets its credentials by '{key}', which is not \
                     supported: put them into the environment, for example with \
                     `aws configure export-credentials --format env`"
                ));
            }
        }
        Ok(Self(settings))
    }

    /// Names of environment variables, and their values.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

/// The keys and values of a section. Skips indented lines: they belong to nested values and hold no
/// credentials.
fn section<'a>(text: &'a str, name: &str) -> Option<HashMap<&'a str, &'a str>> {
    let mut found: Option<HashMap<&str, &str>> = None;
    let mut inside = false;
    for line in text.lines().filter(|line| !line.starts_with([' ', '\t', '#', ';'])) {
        if let Some(header) = line.trim().strip_prefix('[') {
            inside = header
                .split(']')
                .next()
                .is_some_and(|header| header.split_whitespace().eq(name.split_whitespace()));
            if inside {
                found.get_or_insert_default();
            }
        } else if let (true, Some((key, value))) = (inside, line.split_once('='))
            && let Some(found) = &mut found
        {
            found.insert(key.trim(), value.trim());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
[default]
region = eu-central-1
s3 =
  endpoint_url = http://nested
[profile staff]
region=eu-west-1
endpoint_url = https://s3.example
[profile sso]
sso_session = corp
";
    const KEYS: &str = "\
# a comment
[default]
aws_access_key_id = A
aws_secret_access_key = B=/+
[staff]
aws_access_key_id=C
aws_secret_access_key=D
aws_session_token=E
";

    fn read(variables: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        std::fs::write(folder.path().join(".aws/config"), CONFIG).unwrap();
        std::fs::write(folder.path().join(".aws/credentials"), KEYS).unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let profile = AwsProfile::read(|name| match name {
            "HOME" => Some(home.clone()),
            name => {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            }
        })?;
        Ok(profile.settings().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_profile_is_read_from_both_files() {
        let default = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "A"),
            ("AWS_SECRET_ACCESS_KEY", "B=/+"),
        ];
        assert_eq!(read(&[]).unwrap(), pairs(&default));
        let staff = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "https://s3.example"),
            ("AWS_ACCESS_KEY_ID", "C"),
            ("AWS_SECRET_ACCESS_KEY", "D"),
            ("AWS_SESSION_TOKEN", "E"),
        ];
        assert_eq!(read(&[("AWS_PROFILE", "staff")]).unwrap(), pairs(&staff));
    }

    #[test]
    fn credentials_of_the_environment_come_first_and_are_not_mixed_with_those_of_a_file() {
        let settings = read(&[("AWS_PROFILE", "staff"), ("AWS_ACCESS_KEY_ID", "X")]).unwrap();
        assert_eq!(
            settings,
            pairs(&[("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "https://s3.example")])
        );
    }

    #[test]
    fn a_profile_that_is_missing_or_needs_a_sign_in_is_an_error() {
        assert!(read(&[("AWS_PROFILE", "nobody")]).unwrap_err().contains("'nobody'"));
        let error = read(&[("AWS_PROFILE", "sso")]).unwrap_err();
        assert!(error.contains("sso_session") && error.contains("export-credentials"), "{error}");
    }
}
