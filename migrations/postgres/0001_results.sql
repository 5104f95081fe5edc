-- What is known of every image. See src/store/mod.rs for what the rows mean, docs/postgres.md for roles, sizes and the index of
-- templates.
--
-- Everything is made in the first schema of the search_path. Only a role that may make things there runs this; what a worker has to
-- make (the partition for a new profile) it makes through a function that runs with its owner's rights.

CREATE TABLE profiles (
    id         text        PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    definition text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE galleries (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One row for each gallery and profile that have results together: the two in one number, for the indexes below. Of a gallery's rows,
-- the one recorded to last has the highest "touched".
CREATE TABLE gallery_profiles (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gallery_id bigint NOT NULL REFERENCES galleries (id),
    profile_id text   NOT NULL REFERENCES profiles (id),
    touched    bigint NOT NULL DEFAULT 0,
    UNIQUE (gallery_id, profile_id)
);

-- A place where bytes come from. Whoever records anything about a URI holds the lock of its row until the end: two workers with the
-- same image go one after the other, all others side by side. "uri_key" is a hash: URIs may be longer than what a B-tree holds.
CREATE TABLE sources (
    gallery_id bigint NOT NULL,
    uri_key    uuid   NOT NULL,
    uri        text   NOT NULL,
    PRIMARY KEY (gallery_id, uri_key)
);

-- A source with the bytes it had. An empty hash stands for "no bytes came". The two sequences are drawn from by name.
CREATE SEQUENCE images_id_seq AS bigint;
CREATE TABLE images (
    id           bigint PRIMARY KEY,
    gallery_id   bigint NOT NULL,
    uri_key      uuid   NOT NULL,
    content_hash bytea  NOT NULL CHECK (octet_length(content_hash) IN (0, 32)),
    bytes        bigint,
    width        bigint,
    height       bigint,
    -- Whose face it is, as the operator names people. Here: it is a fact about the picture, whatever the profile.
    subject      text,
    UNIQUE (gallery_id, uri_key, content_hash),
    FOREIGN KEY (gallery_id, uri_key) REFERENCES sources ON DELETE CASCADE
);

-- "id" is the cursor of pages and stays when a result is replaced. "superseded" is on the result and not on the image: a failed fetch
-- under one profile says nothing about another profile's results. "stamp" is the listed version that this result was made from.
CREATE SEQUENCE results_id_seq AS bigint;
CREATE TABLE results (
    id                 bigint      PRIMARY KEY,
    image_id           bigint      NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    gallery_profile_id bigint      NOT NULL,
    superseded         boolean     NOT NULL DEFAULT false,
    outcome            text        NOT NULL,
    reason             text,
    selection          text        NOT NULL,
    stamp              text,
    provider           text        NOT NULL,
    fetch_ms           real        NOT NULL,
    vision_ms          real        NOT NULL,
    recognise_ms       real        NOT NULL,
    attempt            bigint      NOT NULL,
    job_id             uuid        NOT NULL,
    recorded_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (image_id, gallery_profile_id)
);

-- Pages (one range for each outcome, in order of id), and the counts by outcome and provider without touching the table.
CREATE INDEX results_current ON results (gallery_profile_id, outcome, id) INCLUDE (provider) WHERE NOT superseded;

-- "gallery_profile_id" and "superseded" repeat the result's, for the index.
CREATE TABLE faces (
    result_id          bigint  NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    face_index         integer NOT NULL CHECK (face_index >= 0),
    gallery_profile_id bigint  NOT NULL,
    superseded         boolean NOT NULL DEFAULT false,
    x                  real    NOT NULL,
    y                  real    NOT NULL,
    width              real    NOT NULL,
    height             real    NOT NULL,
    -- x and y of five points: little-endian 32-bit floats.
    landmarks          bytea   CHECK (octet_length(landmarks) = 40),
    detector_score     real,
    distance           double precision,
    score              double precision CHECK (score BETWEEN 0 AND 1),
    quality            smallint CHECK (quality BETWEEN 0 AND 100),
    norm               real,
    PRIMARY KEY (result_id, face_index),
    CHECK ((score IS NULL) = (distance IS NULL) AND (score IS NULL) = (quality IS NULL) AND (score IS NULL) = (norm IS NULL))
);

-- The lowest and highest scores, and the histogram without touching the table.
CREATE INDEX faces_by_score ON faces (gallery_profile_id, score, quality) WHERE NOT superseded;

-- Apart from faces, so that counting and sorting faces never drags vectors through the cache. A partition for each profile: templates
-- of two profiles are never compared, and retiring a profile drops its partition. Rows are inserted and deleted, never updated: an
-- index of vectors keeps every version of a row. A template has unit norm; halfvec itself refuses what is not finite.
CREATE TABLE templates (
    profile_id text    NOT NULL,
    result_id  bigint  NOT NULL,
    face_index integer NOT NULL,
    vector     halfvec NOT NULL CHECK (l2_norm(vector) BETWEEN 0.99 AND 1.01),
    PRIMARY KEY (profile_id, result_id, face_index)
) PARTITION BY LIST (profile_id);

-- Makes a profile known, and the partition for its templates. Repeating it is harmless, and takes no lock. Attaching a table, unlike
-- making it in its place, lets others record meanwhile.
CREATE FUNCTION add_profile(new_id text, new_definition text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    partition text := 'templates_' || new_id;
BEGIN
    IF EXISTS (SELECT FROM profiles WHERE id = new_id) AND to_regclass(format('%I', partition)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Two workers that start at once: the second waits here, then finds what the first one made.
    PERFORM pg_advisory_xact_lock(hashtextextended('facefleet.add_profile', 0));
    INSERT INTO profiles (id, definition) VALUES (new_id, new_definition) ON CONFLICT DO NOTHING;
    IF to_regclass(format('%I', partition)) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE templates INCLUDING ALL)', partition);
        EXECUTE format('ALTER TABLE templates ATTACH PARTITION %I FOR VALUES IN (%L)', partition, new_id);
    END IF;
END
$$;

-- Forgets what a profile found: its templates at once, its results a chunk at a time. Images and campaigns stay. For the owner, when no
-- worker runs with that profile any more.
CREATE PROCEDURE retire_profile(old_id text) LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(format('%I', 'templates_' || old_id)) IS NOT NULL THEN
        EXECUTE format('ALTER TABLE templates DETACH PARTITION %I', 'templates_' || old_id);
        EXECUTE format('DROP TABLE %I', 'templates_' || old_id);
        -- Whoever records waits for this lock no longer than it must.
        COMMIT;
    END IF;
    LOOP
        DELETE FROM results WHERE id IN (
            SELECT r.id FROM results r JOIN gallery_profiles gp ON gp.id = r.gallery_profile_id WHERE gp.profile_id = old_id LIMIT 10000);
        EXIT WHEN NOT FOUND;
        COMMIT;
    END LOOP;
    DELETE FROM gallery_profiles WHERE profile_id = old_id;
END
$$;

CREATE TABLE campaigns (
    id           uuid        PRIMARY KEY,
    lane         text        NOT NULL,
    gallery      text        NOT NULL,
    profile_id   text        NOT NULL REFERENCES profiles (id),
    source       text        NOT NULL,
    state        text        NOT NULL,
    listed       bigint      NOT NULL DEFAULT 0,
    skipped      bigint      NOT NULL DEFAULT 0,
    listing_done boolean     NOT NULL DEFAULT false,
    chunk_from   text,
    chunk_to     text,
    started_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE campaign_outcomes (
    campaign_id uuid   NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    outcome     text   NOT NULL,
    jobs        bigint NOT NULL,
    faces       bigint NOT NULL,
    PRIMARY KEY (campaign_id, outcome)
);

-- The jobs that were skipped or ended: each counts once, however often it is delivered.
CREATE TABLE campaign_jobs (
    campaign_id uuid NOT NULL,
    job_id      uuid NOT NULL,
    PRIMARY KEY (campaign_id, job_id)
);

-- What runs with its owner's rights is not for everybody, and finds these tables whatever its caller's search_path and temporary
-- tables say.
REVOKE ALL ON FUNCTION add_profile(text, text) FROM PUBLIC;
REVOKE ALL ON PROCEDURE retire_profile(text) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION add_profile(text, text) SET search_path = %I, pg_temp', current_schema());
END
$$;
