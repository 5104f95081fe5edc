-- A schema of version 0.1: `pg_dump --inserts` of the database that it wrote, without settings and comments.
CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;
CREATE FUNCTION public.add_profile(new_id text, new_definition text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE PROCEDURE public.retire_profile(IN old_id text)
    LANGUAGE plpgsql
    AS $$
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
CREATE TABLE public.campaign_jobs (
    campaign_id uuid NOT NULL,
    job_id uuid NOT NULL,
    outcome text
);
CREATE TABLE public.campaign_outcomes (
    campaign_id uuid NOT NULL,
    outcome text NOT NULL,
    jobs bigint NOT NULL,
    faces bigint NOT NULL
);
CREATE TABLE public.campaigns (
    id uuid NOT NULL,
    lane text NOT NULL,
    gallery text NOT NULL,
    profile_id text NOT NULL,
    source text NOT NULL,
    state text NOT NULL,
    listed bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    listing_done boolean DEFAULT false NOT NULL,
    chunk_from text,
    chunk_to text,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    selection text,
    closed boolean DEFAULT false NOT NULL
);
CREATE TABLE public.facefleet_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public.faces (
    result_id bigint NOT NULL,
    face_index integer NOT NULL,
    gallery_profile_id bigint NOT NULL,
    superseded boolean DEFAULT false NOT NULL,
    x real NOT NULL,
    y real NOT NULL,
    width real NOT NULL,
    height real NOT NULL,
    landmarks bytea,
    detector_score real,
    distance double precision,
    score double precision,
    quality smallint,
    norm real,
    CONSTRAINT faces_check CHECK ((((score IS NULL) = (distance IS NULL)) AND ((score IS NULL) = (quality IS NULL)) AND ((score IS NULL) = (norm IS NULL)))),
    CONSTRAINT faces_face_index_check CHECK ((face_index >= 0)),
    CONSTRAINT faces_landmarks_check CHECK ((octet_length(landmarks) = 40)),
    CONSTRAINT faces_quality_check CHECK (((quality >= 0) AND (quality <= 100))),
    CONSTRAINT faces_score_check CHECK (((score >= (0)::double precision) AND (score <= (1)::double precision)))
);
CREATE TABLE public.galleries (
    id bigint NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.galleries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.galleries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.gallery_profiles (
    id bigint NOT NULL,
    gallery_id bigint NOT NULL,
    profile_id text NOT NULL,
    touched bigint DEFAULT 0 NOT NULL
);
ALTER TABLE public.gallery_profiles ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.gallery_profiles_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.images (
    id bigint NOT NULL,
    gallery_id bigint NOT NULL,
    uri_key uuid NOT NULL,
    content_hash bytea NOT NULL,
    bytes bigint,
    width bigint,
    height bigint,
    subject text,
    CONSTRAINT images_content_hash_check CHECK ((octet_length(content_hash) = ANY (ARRAY[0, 32])))
);
CREATE SEQUENCE public.images_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.profiles (
    id text NOT NULL,
    definition text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT profiles_id_check CHECK ((id ~ '^[0-9a-f]{16}$'::text))
);
CREATE TABLE public.results (
    id bigint NOT NULL,
    image_id bigint NOT NULL,
    gallery_profile_id bigint NOT NULL,
    superseded boolean DEFAULT false NOT NULL,
    outcome text NOT NULL,
    reason text,
    selection text NOT NULL,
    stamp text,
    provider text NOT NULL,
    fetch_ms real NOT NULL,
    vision_ms real NOT NULL,
    recognise_ms real NOT NULL,
    attempt bigint NOT NULL,
    job_id uuid NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    noted boolean DEFAULT false NOT NULL
);
CREATE SEQUENCE public.results_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.source_troubles (
    name text NOT NULL,
    reason text,
    since timestamp with time zone DEFAULT now() NOT NULL,
    seen timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.sources (
    gallery_id bigint NOT NULL,
    uri_key uuid NOT NULL,
    uri text NOT NULL
);
CREATE TABLE public.templates (
    profile_id text NOT NULL,
    result_id bigint NOT NULL,
    face_index integer NOT NULL,
    vector public.halfvec NOT NULL,
    CONSTRAINT templates_vector_check CHECK (((public.l2_norm(vector) >= (0.99)::double precision) AND (public.l2_norm(vector) <= (1.01)::double precision)))
)
PARTITION BY LIST (profile_id);
CREATE TABLE public.templates_c661c2abb42a95a1 (
    profile_id text NOT NULL,
    result_id bigint NOT NULL,
    face_index integer NOT NULL,
    vector public.halfvec NOT NULL,
    CONSTRAINT templates_vector_check CHECK (((public.l2_norm(vector) >= (0.99)::double precision) AND (public.l2_norm(vector) <= (1.01)::double precision)))
);
CREATE TABLE public.templates_e6429540233f7338 (
    profile_id text NOT NULL,
    result_id bigint NOT NULL,
    face_index integer NOT NULL,
    vector public.halfvec NOT NULL,
    CONSTRAINT templates_vector_check CHECK (((public.l2_norm(vector) >= (0.99)::double precision) AND (public.l2_norm(vector) <= (1.01)::double precision)))
);
ALTER TABLE ONLY public.templates ATTACH PARTITION public.templates_c661c2abb42a95a1 FOR VALUES IN ('c661c2abb42a95a1');
ALTER TABLE ONLY public.templates ATTACH PARTITION public.templates_e6429540233f7338 FOR VALUES IN ('e6429540233f7338');
INSERT INTO public.campaign_jobs VALUES ('019a0000-0000-7000-8000-000000000001', '019a0000-0000-7f30-b9bd-09e00fdf4aa9', NULL);
INSERT INTO public.campaign_jobs VALUES ('019a0000-0000-7000-8000-000000000001', '019a0000-0000-70fa-ae03-7034baa0cee1', 'scored');
INSERT INTO public.campaign_jobs VALUES ('019a0000-0000-7000-8000-000000000001', '019a0000-0000-7a36-9a59-15bbca6b67d8', 'no_face');
INSERT INTO public.campaign_jobs VALUES ('019a0000-0000-7000-8000-000000000001', '019a0000-0000-7cc0-a77b-1e84721e5f90', 'unreadable');
INSERT INTO public.campaign_jobs VALUES ('019a0000-0000-7000-8000-000000000001', '019a0000-0000-7dad-9ebc-176e3df0e8ae', 'failed');
INSERT INTO public.campaign_outcomes VALUES ('019a0000-0000-7000-8000-000000000001', 'scored', 1, 3);
INSERT INTO public.campaign_outcomes VALUES ('019a0000-0000-7000-8000-000000000001', 'no_face', 1, 0);
INSERT INTO public.campaign_outcomes VALUES ('019a0000-0000-7000-8000-000000000001', 'unreadable', 1, 0);
INSERT INTO public.campaign_outcomes VALUES ('019a0000-0000-7000-8000-000000000001', 'failed', 1, 0);
INSERT INTO public.campaigns VALUES ('019a0000-0000-7000-8000-000000000002', 'scan', 'staff', 'e6429540233f7338', 's3://photos/staff', 'cancelled', 0, 0, false, NULL, NULL, '2026-11-26 00:39:52.419445+00', 'all/40/0.6', true);
INSERT INTO public.campaigns VALUES ('019a0000-0000-7000-8000-000000000001', 'scan', 'staff', 'e6429540233f7338', 's3://photos/staff', 'running', 5, 1, true, NULL, 'photos/two.jpg', '2026-11-26 00:39:52.417654+00', 'all/40/0.6', false);
INSERT INTO public.facefleet_migrations VALUES (1, 'results', '2026-11-26 00:39:52.149957+00', true, '\xe99b5674827536718ea72c844c55a7cce9e43e424c6ed32ccd98b380c478f9521c55a50649a603ced3ee20edd13b2a01', 130802505);
INSERT INTO public.facefleet_migrations VALUES (2, 'selection', '2026-11-26 00:39:52.279952+00', true, '\x32c44ccbd3470b3f2aecc7dc479ecd4a199c8042c2889780cf70d54b91d8a1bc69ad99523b58cc666cb762050e5cfef5', 2898160);
INSERT INTO public.facefleet_migrations VALUES (3, 'places', '2026-11-26 00:39:52.283481+00', true, '\xc63c91e955e5a517f7a9f57a255894e2fd47c1c3a85fc43a504a18de81219cf5ba7c759fde7addac3403c941b9397ec3', 52936880);
INSERT INTO public.faces VALUES (1, 0, 1, false, 80, -1.3, 100.1, 120.2, '\x0000a042000000003333a0426666f6406666a042666676419a99a042ccccb841cdcca0426666f641', 0.93, 0.24116205614048092, 0.8800000003333334, 80, 157.50072);
INSERT INTO public.faces VALUES (1, 1, 1, false, 30, -1.3, 100.1, 120.2, '\x0000f04100000000cdccf0416666f6409a99f141666676416666f241ccccb8413333f3416666f641', 0.93, 0.3433333263146513, 0.8300000003333334, 30, 122.34445);
INSERT INTO public.faces VALUES (1, 2, 1, false, 3, -1.3, 100.1, 120.2, '\x0000404000000000666646406666f640cdcc4c406666764133335340ccccb8419a9959406666f641', 0.93, NULL, NULL, NULL, NULL);
INSERT INTO public.faces VALUES (5, 0, 2, false, 70, -1.3, 100.1, 120.2, '\x00008c420000000033338c426666f64066668c42666676419a998c42ccccb841cdcc8c426666f641', 0.93, 0.2614796993796297, 0.8700000003333335, 70, 126.230934);
INSERT INTO public.faces VALUES (6, 0, 1, true, 10, -1.3, 100.1, 120.2, '\x00002041000000009a9921416666f6403333234166667641cdcc2441ccccb841666626416666f641', 0.93, 0.38467433774745574, 0.8100000003333334, 10, 141.20381);
INSERT INTO public.faces VALUES (7, 0, 1, false, 20, -1.3, 100.1, 120.2, '\x0000a04100000000cdcca0416666f6409a99a141666676416666a241ccccb8413333a3416666f641', 0.93, 0.3639653765124215, 0.8200000003333334, 20, 124.002846);
INSERT INTO public.galleries OVERRIDING SYSTEM VALUE VALUES (1, 'staff', '2026-11-26 00:39:52.439289+00');
INSERT INTO public.gallery_profiles OVERRIDING SYSTEM VALUE VALUES (2, 1, 'c661c2abb42a95a1', 1);
INSERT INTO public.gallery_profiles OVERRIDING SYSTEM VALUE VALUES (1, 1, 'e6429540233f7338', 2);
INSERT INTO public.images VALUES (2, 1, '1903510e-3726-cc15-66c5-2b694cfe4efe', '\xdc770fff53f50835f8cc957e01c0d5731d3c2ed544c375493a28c09be5e09763', 3, 640, 480, NULL);
INSERT INTO public.images VALUES (3, 1, '75067006-670c-cef4-dcb3-a98172afbba4', '\xdbec0e689fb63bd729147727129d854e9d590ab620a18bbbcb3317d268d6fd72', 5, 640, 480, NULL);
INSERT INTO public.images VALUES (4, 1, 'aab2c9cc-d627-7037-2436-be124ce6dded', '\x', NULL, NULL, NULL, NULL);
INSERT INTO public.images VALUES (1, 1, 'b0ca67d4-b505-e0c4-0cb5-8c9d78558e72', '\xd33fb48ab5adff269ae172b29a6913ff04f6f266207a7a8e976f2ecd571d4492', 3, 640, 480, 'ann');
INSERT INTO public.images VALUES (5, 1, '73dd983a-a6ff-0c0d-6710-32ca42c7c46c', '\xe2e784ea2a9b29fc6c9cd781183ff3aee04175db205580175b455fb625f70779', 4, 640, 480, NULL);
INSERT INTO public.images VALUES (6, 1, '73dd983a-a6ff-0c0d-6710-32ca42c7c46c', '\x61d6f953d54717718126f2031de06e36e668079a0230f6f7037c6d3d621031cb', 5, 640, 480, NULL);
INSERT INTO public.images VALUES (7, 1, '1903510e-3726-cc15-66c5-2b694cfe4efe', '\x', NULL, NULL, NULL, NULL);
INSERT INTO public.profiles VALUES ('e6429540233f7338', '{"alignment":{"method":"none"},"recogniser":{"name":"a","sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"ser_fiq":{"method":"closed_form","dropout":0.4},"mapping":{"alpha":130.00000000000003,"r":0.30000000000000004}}', '2026-11-26 00:39:52.367789+00');
INSERT INTO public.profiles VALUES ('c661c2abb42a95a1', '{"alignment":{"method":"none"},"recogniser":{"name":"b","sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"ser_fiq":{"method":"closed_form","dropout":0.4},"mapping":{"alpha":130.00000000000003,"r":0.30000000000000004}}', '2026-11-26 00:39:52.40839+00');
INSERT INTO public.results VALUES (1, 1, 1, false, 'scored', NULL, 'all/40/0.6', 'v1', 'cpu', 0.1, 2.2, 30.3, 1, '019a0000-0000-70fa-ae03-7034baa0cee1', '2026-11-26 00:39:52.439289+00', false);
INSERT INTO public.results VALUES (2, 2, 1, false, 'no_face', NULL, 'all/40/0.6', 'v1', 'cpu', 0.1, 2.2, 30.3, 1, '019a0000-0000-7a36-9a59-15bbca6b67d8', '2026-11-26 00:39:52.460428+00', false);
INSERT INTO public.results VALUES (3, 3, 1, false, 'unreadable', 'it is cut off', 'all/40/0.6', 'v1', 'cpu', 0.1, 2.2, 30.3, 1, '019a0000-0000-7cc0-a77b-1e84721e5f90', '2026-11-26 00:39:52.475063+00', false);
INSERT INTO public.results VALUES (4, 4, 1, false, 'failed', 'timed out', 'all/40/0.6', 'v1', 'cpu', 0.1, 2.2, 30.3, 1, '019a0000-0000-7dad-9ebc-176e3df0e8ae', '2026-11-26 00:39:52.47906+00', false);
INSERT INTO public.results VALUES (5, 1, 2, false, 'scored', NULL, 'all/40/0.6', 'v1', 'cpu', 0.1, 2.2, 30.3, 1, '01a2154b-6576-7019-a2b3-ba42d0bb52c0', '2026-11-26 00:39:52.483879+00', false);
INSERT INTO public.results VALUES (6, 5, 1, true, 'scored', NULL, 'all/40/0.6', 'v1', 'cpu', 0.1, 2.2, 30.3, 1, '01a2154b-6576-7019-a2b3-ba439ecb62cf', '2026-11-26 00:39:52.490512+00', false);
INSERT INTO public.results VALUES (7, 6, 1, false, 'scored', NULL, 'all/40/0.6', 'v2', 'cpu', 0.1, 2.2, 30.3, 1, '01a2154b-6576-7019-a2b3-ba44fa8a666f', '2026-11-26 00:39:52.505931+00', false);
INSERT INTO public.results VALUES (8, 7, 1, true, 'refused', 'denied', 'all/40/0.6', 'v2', 'cpu', 0.1, 2.2, 30.3, 1, '01a2154b-6576-7019-a2b3-ba4512d8c4fe', '2026-11-26 00:39:52.514175+00', true);
INSERT INTO public.source_troubles VALUES ('/photos', 'not mounted', '2026-11-26 00:39:52.521464+00', '2026-11-26 00:39:52.521464+00');
INSERT INTO public.sources VALUES (1, 'b0ca67d4-b505-e0c4-0cb5-8c9d78558e72', 'file:///photos/one.jpg');
INSERT INTO public.sources VALUES (1, '1903510e-3726-cc15-66c5-2b694cfe4efe', 'file:///photos/two.jpg');
INSERT INTO public.sources VALUES (1, '75067006-670c-cef4-dcb3-a98172afbba4', 'file:///photos/three.jpg');
INSERT INTO public.sources VALUES (1, 'aab2c9cc-d627-7037-2436-be124ce6dded', 'file:///photos/four.jpg');
INSERT INTO public.sources VALUES (1, '73dd983a-a6ff-0c0d-6710-32ca42c7c46c', 'file:///photos/five.jpg');
INSERT INTO public.templates_c661c2abb42a95a1 VALUES ('c661c2abb42a95a1', 5, 0, '[-0.33032227,0.21862793,0.18737793,-0.4790039,-0.35302734,-0.18652344,-0.21264648,-0.6113281]');
INSERT INTO public.templates_e6429540233f7338 VALUES ('e6429540233f7338', 1, 0, '[0.21459961,0.25732422,-0.45654297,0.48583984,-0.15710449,0.27294922,-0.43847656,-0.3894043]');
INSERT INTO public.templates_e6429540233f7338 VALUES ('e6429540233f7338', 1, 1, '[-0.06665039,-0.19726562,0.5751953,0.5126953,0.35864258,0.37524414,-0.20983887,0.22265625]');
INSERT INTO public.templates_e6429540233f7338 VALUES ('e6429540233f7338', 6, 0, '[0.061035156,-0.35424805,-0.5239258,-0.30786133,0.029708862,0.5708008,0.4165039,-0.031433105]');
INSERT INTO public.templates_e6429540233f7338 VALUES ('e6429540233f7338', 7, 0, '[0.67822266,-0.29907227,-0.014602661,-0.5991211,0.19372559,-0.16638184,0.13366699,0.091918945]');
SELECT pg_catalog.setval('public.galleries_id_seq', 2, true);
SELECT pg_catalog.setval('public.gallery_profiles_id_seq', 2, true);
SELECT pg_catalog.setval('public.images_id_seq', 7, true);
SELECT pg_catalog.setval('public.results_id_seq', 8, true);
ALTER TABLE ONLY public.campaign_jobs
    ADD CONSTRAINT campaign_jobs_pkey PRIMARY KEY (campaign_id, job_id);
ALTER TABLE ONLY public.campaign_outcomes
    ADD CONSTRAINT campaign_outcomes_pkey PRIMARY KEY (campaign_id, outcome);
ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT campaigns_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.facefleet_migrations
    ADD CONSTRAINT facefleet_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.faces
    ADD CONSTRAINT faces_pkey PRIMARY KEY (result_id, face_index);
ALTER TABLE ONLY public.galleries
    ADD CONSTRAINT galleries_name_key UNIQUE (name);
ALTER TABLE ONLY public.galleries
    ADD CONSTRAINT galleries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gallery_profiles
    ADD CONSTRAINT gallery_profiles_gallery_id_profile_id_key UNIQUE (gallery_id, profile_id);
ALTER TABLE ONLY public.gallery_profiles
    ADD CONSTRAINT gallery_profiles_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.images
    ADD CONSTRAINT images_gallery_id_uri_key_content_hash_key UNIQUE (gallery_id, uri_key, content_hash);
ALTER TABLE ONLY public.images
    ADD CONSTRAINT images_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT profiles_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.results
    ADD CONSTRAINT results_image_id_gallery_profile_id_key UNIQUE (image_id, gallery_profile_id);
ALTER TABLE ONLY public.results
    ADD CONSTRAINT results_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.source_troubles
    ADD CONSTRAINT source_troubles_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.sources
    ADD CONSTRAINT sources_pkey PRIMARY KEY (gallery_id, uri_key);
ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (profile_id, result_id, face_index);
ALTER TABLE ONLY public.templates_c661c2abb42a95a1
    ADD CONSTRAINT templates_c661c2abb42a95a1_pkey PRIMARY KEY (profile_id, result_id, face_index);
ALTER TABLE ONLY public.templates_e6429540233f7338
    ADD CONSTRAINT templates_e6429540233f7338_pkey PRIMARY KEY (profile_id, result_id, face_index);
CREATE INDEX campaigns_open ON public.campaigns USING btree (id) WHERE (NOT closed);
CREATE INDEX faces_by_score ON public.faces USING btree (gallery_profile_id, score, quality) WHERE (NOT superseded);
CREATE INDEX results_current ON public.results USING btree (gallery_profile_id, outcome, id) INCLUDE (provider) WHERE (NOT superseded);
CREATE INDEX results_noted ON public.results USING btree (gallery_profile_id) WHERE noted;
ALTER INDEX public.templates_pkey ATTACH PARTITION public.templates_c661c2abb42a95a1_pkey;
ALTER INDEX public.templates_pkey ATTACH PARTITION public.templates_e6429540233f7338_pkey;
ALTER TABLE ONLY public.campaign_outcomes
    ADD CONSTRAINT campaign_outcomes_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT campaigns_profile_id_fkey FOREIGN KEY (profile_id) REFERENCES public.profiles(id);
ALTER TABLE ONLY public.faces
    ADD CONSTRAINT faces_result_id_fkey FOREIGN KEY (result_id) REFERENCES public.results(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.gallery_profiles
    ADD CONSTRAINT gallery_profiles_gallery_id_fkey FOREIGN KEY (gallery_id) REFERENCES public.galleries(id);
ALTER TABLE ONLY public.gallery_profiles
    ADD CONSTRAINT gallery_profiles_profile_id_fkey FOREIGN KEY (profile_id) REFERENCES public.profiles(id);
ALTER TABLE ONLY public.images
    ADD CONSTRAINT images_gallery_id_uri_key_fkey FOREIGN KEY (gallery_id, uri_key) REFERENCES public.sources(gallery_id, uri_key) ON DELETE CASCADE;
ALTER TABLE ONLY public.results
    ADD CONSTRAINT results_image_id_fkey FOREIGN KEY (image_id) REFERENCES public.images(id) ON DELETE CASCADE;
