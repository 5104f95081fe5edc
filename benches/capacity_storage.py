"""The size of a gallery in SQLite and in Postgres: part of benches/capacity.py.

The program scans some photos into a new database: the real rows. Then SQL copies these rows, each
under a new id, URI, hash and job, with a score and a template of its own, because these are what
the indexes hold. A first gallery makes the fixed parts small. Each further gallery has one kind of
image, and what the database grows by, divided by the images, is the size of one.
"""

import contextlib
import dataclasses
import os
import random
import sqlite3
import subprocess
import sys
import time
from urllib import parse

from program import run_facefleet

# STRICT tables.
SQLITE_NEEDED = (3, 37)
# Templates for the HNSW index, whose size grows evenly from the first.
INDEXED = 8000


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of image: its faces, and the components of their templates."""

    name: str
    faces: int
    components: int


ONE = Kind("one face, template of 128 numbers", 1, 128)
TWO = Kind("two faces", 2, 128)
NONE = Kind("no face", 0, 128)
LARGE = Kind("one face, template of 512 numbers", 1, 512)
KINDS = (ONE, TWO, NONE, LARGE)


def measure(photos, rows, scratch, server):
    """Bytes for each image by kind, for SQLite and, if there is a server, for Postgres.

    For Postgres, also the bytes of the index for each template, by its components.
    """
    sizes, index = {}, {}
    if sqlite3.sqlite_version_info >= SQLITE_NEEDED:
        sizes["SQLite"] = growth(Sqlite(scratch / "storage.db", photos), rows)
    else:
        print(f"SQLite is not measured: Python's {sqlite3.sqlite_version} has no STRICT tables")
    if server:
        with contextlib.closing(Postgres(server, photos)) as postgres:
            index = postgres.index_sizes(min(rows, INDEXED))
            sizes["Postgres"] = growth(postgres, rows)
    return sizes, index


def growth(database, rows):
    """Bytes for each image, by kind."""
    database.add("first", ONE, rows)
    found = {}
    for kind in KINDS:
        before = database.size()
        database.add(f"{kind.faces} of {kind.components}", kind, rows)
        found[kind] = (database.size() - before) / rows
    return found


def uri_of(gallery, number):
    """A URI of 51 characters."""
    return f"s3://photos/{gallery.replace(' ', '-'):-<11}/2026/{number:018}.jpg"


class Sqlite:
    """A new database with the results of `photos`, which grows by copies of them."""

    def __init__(self, path, photos):
        run_facefleet(["scan", photos], {"FACEFLEET__STORE__URL": f"sqlite:{path}"})
        self.path = path
        self.base = sqlite3.connect(path)
        self.base.row_factory = sqlite3.Row
        self.images = self.rows("SELECT * FROM images ORDER BY id")
        self.results = self.rows("SELECT * FROM results ORDER BY image_id")
        self.faces = self.rows("SELECT * FROM faces WHERE face_index = 0 ORDER BY result_id")
        self.vectors = [row["vector"] for row in self.rows("SELECT vector FROM templates")]
        (self.campaign,) = self.rows("SELECT id, profile_id FROM campaigns")

    def rows(self, sql):
        return [dict(row) for row in self.base.execute(sql)]

    def next_id(self, table):
        return self.base.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()[0]

    def insert(self, table, rows):
        """Inserts rows, which are dicts with the same keys."""
        columns = rows[0].keys()
        names = ", ".join(f":{column}" for column in columns)
        self.base.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({names})", rows)

    def add(self, gallery, kind, count):
        now = int(time.time() * 1000)
        gallery_id, pair = self.next_id("galleries"), self.next_id("gallery_profiles")
        self.insert("galleries", [{"id": gallery_id, "name": gallery, "created_at_ms": now}])
        profile = self.campaign["profile_id"]
        both = {"id": pair, "gallery_id": gallery_id, "profile_id": profile, "touched": 0}
        self.insert("gallery_profiles", [both])
        image, result = self.next_id("images"), self.next_id("results")
        face = self.next_id("faces")
        made = {table: [] for table in ("images", "results", "faces", "templates", "campaign_jobs")}
        for number in range(count):
            of = number % len(self.images)
            job = now.to_bytes(6, "big") + bytes(4) + number.to_bytes(6, "big")
            made["images"].append(
                {
                    **self.images[of],
                    "id": image + number,
                    "gallery_id": gallery_id,
                    "uri": uri_of(gallery, number),
                    "content_hash": os.urandom(32),
                }
            )
            outcome = "scored" if kind.faces else "no_face"
            made["results"].append(
                {
                    **self.results[of],
                    "id": result + number,
                    "image_id": image + number,
                    "gallery_profile_id": pair,
                    "outcome": outcome,
                    "job_id": job,
                }
            )
            made["campaign_jobs"].append(
                {"campaign_id": self.campaign["id"], "job_id": job, "outcome": outcome}
            )
            for index in range(kind.faces):
                score = random.random()
                made["faces"].append(
                    {
                        **self.faces[of],
                        "id": face,
                        "result_id": result + number,
                        "face_index": index,
                        "gallery_profile_id": pair,
                        "score": score,
                        "quality": round(100 * score),
                    }
                )
                vector = self.vectors[of] * (kind.components // 128)
                made["templates"].append(
                    {"face_id": face, "dimension": kind.components, "vector": vector}
                )
                face += 1
        for table, rows in made.items():
            if rows:
                self.insert(table, rows)
        self.base.commit()

    def size(self):
        self.base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self.path.stat().st_size


class Postgres:
    """A new database with the results of `photos`, which grows by copies of them."""

    def __init__(self, server, photos):
        self.psql_program, self.server = server.psql, server.url
        # A database of its own: the sizes are not those of another program's tables.
        name = f"capacity_{os.getpid()}"
        self.url = parse.urlsplit(server.url)._replace(path=f"/{name}").geturl()
        self.drop = f"DROP DATABASE {name} WITH (FORCE)"
        self.psql(f"CREATE DATABASE {name}", self.server)
        try:
            for command in (["migrate"], ["scan", photos]):
                run_facefleet(command, {"FACEFLEET__STORE__URL": self.url})
        except SystemExit:
            self.close()
            raise

    def close(self):
        self.psql(self.drop, self.server)

    def psql(self, sql, url=None) -> str:
        """The answer to statements in one session."""
        # Not in an argument: those are readable by everybody on this machine.
        login = parse.urlsplit(url or self.url)
        environment = {
            "PATH": os.environ["PATH"],
            "PGHOST": login.hostname,
            "PGPORT": str(login.port),
            "PGUSER": login.username,
            "PGPASSWORD": login.password,
            "PGDATABASE": login.path.strip("/"),
        }
        finished = subprocess.run(
            [str(self.psql_program), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"],
            input=sql + ";\n",
            env=environment,
            capture_output=True,
            text=True,
        )
        if finished.returncode:
            sys.exit(f"capacity: Postgres refused a statement:\n{finished.stderr[-2000:]}")
        return finished.stdout.strip()

    def add(self, gallery, kind, count, profile=None):
        profile = f"'{profile}'" if profile else "(SELECT profile_id FROM campaigns)"
        self.psql(
            POSTGRES_ADD.format(
                gallery=gallery,
                profile=profile,
                count=count,
                prefix=uri_of(gallery, 0)[:-22],
                outcome="scored" if kind.faces else "no_face",
                faces=kind.faces,
                components=kind.components,
                now=int(time.time() * 1000),
            )
        )

    def size(self):
        # VACUUM cannot be in one transaction with others.
        self.psql("VACUUM")
        self.psql("CHECKPOINT")
        return int(self.psql(POSTGRES_SIZE))

    def index_sizes(self, count):
        """Bytes of the HNSW index for each template, by the components of the templates."""
        profiles = {ONE.components: "c" * 15 + "1", LARGE.components: "c" * 15 + "2"}
        for components, profile in profiles.items():
            kind = Kind("", 1, components)
            self.psql(f"SELECT add_profile('{profile}', definition) FROM profiles LIMIT 1")
            self.add(f"index {components}", kind, count, profile)
        run_facefleet(["migrate"], {"FACEFLEET__STORE__URL": self.url})
        index = "pg_relation_size('templates_{}_hnsw')"
        sizes = {
            components: int(self.psql("SELECT " + index.format(profile))) / count
            for components, profile in profiles.items()
        }
        # Rows of the measurements that follow are recorded as in a bulk load: without the index.
        names = "SELECT format('DROP INDEX %I', relname) FROM pg_class WHERE relname LIKE '%_hnsw'"
        self.psql(names + " \\gexec\nSELECT")
        return sizes


POSTGRES_SIZE = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
"""

POSTGRES_ADD = """
BEGIN;
CREATE TEMP TABLE real_rows AS
SELECT row_number() OVER (ORDER BY r.id) - 1 AS k, r.id AS result_id, r.image_id
FROM results r JOIN gallery_profiles gp ON gp.id = r.gallery_profile_id
JOIN galleries g ON g.id = gp.gallery_id
WHERE g.name = 'default';
INSERT INTO galleries (name) VALUES ('{gallery}');
INSERT INTO gallery_profiles (gallery_id, profile_id)
SELECT id, {profile} FROM galleries WHERE name = '{gallery}';
CREATE TEMP TABLE made AS
SELECT
    n, gp.gallery_id, gp.id AS gallery_profile_id, gen_random_uuid() AS uri_key,
    nextval('images_id_seq') AS image_id, nextval('results_id_seq') AS result_id,
    (lpad(to_hex({now}), 12, '0') || lpad(to_hex(n), 20, '0'))::uuid AS job_id,
    n % (SELECT count(*) FROM real_rows) AS k
FROM generate_series(1, {count}) n, gallery_profiles gp JOIN galleries g ON g.id = gp.gallery_id
WHERE g.name = '{gallery}'
ORDER BY n;
ANALYZE made;
INSERT INTO sources (gallery_id, uri_key, uri)
SELECT gallery_id, uri_key, '{prefix}' || lpad(n::text, 18, '0') || '.jpg' FROM made ORDER BY n;
INSERT INTO images (id, gallery_id, uri_key, content_hash, bytes, width, height)
SELECT
    m.image_id, m.gallery_id, m.uri_key, sha256(uuid_send(m.uri_key)), i.bytes, i.width, i.height
FROM made m JOIN real_rows USING (k) JOIN images i ON i.id = real_rows.image_id
ORDER BY n;
INSERT INTO results (
    id, image_id, gallery_profile_id, outcome, selection, stamp, provider,
    fetch_ms, vision_ms, recognise_ms, attempt, job_id
)
SELECT
    m.result_id, m.image_id, m.gallery_profile_id, '{outcome}', r.selection, r.stamp, r.provider,
    r.fetch_ms, r.vision_ms, r.recognise_ms, r.attempt, m.job_id
FROM made m JOIN real_rows USING (k) JOIN results r ON r.id = real_rows.result_id
ORDER BY n;
INSERT INTO faces (
    result_id, face_index, gallery_profile_id, x, y, width, height, landmarks,
    detector_score, distance, score, quality, norm,
    components_inter_eye_distance_value, components_crop_left_value,
    components_crop_right_value, components_cut_off_value, components_under_exposure_value,
    components_over_exposure_value, components_dynamic_range_value,
    components_luminance_mean_value, components_luminance_variance_value,
    components_illumination_uniformity_value, components_natural_colour_value,
    components_single_face_value, components_yaw_value, components_pitch_value,
    components_roll_value, components_sharpness_value
)
SELECT
    m.result_id, face, m.gallery_profile_id, f.x, f.y, f.width, f.height, f.landmarks,
    f.detector_score, f.distance, s.score, round(100 * s.score), f.norm,
    f.components_inter_eye_distance_value, f.components_crop_left_value,
    f.components_crop_right_value, f.components_cut_off_value,
    f.components_under_exposure_value, f.components_over_exposure_value,
    f.components_dynamic_range_value, f.components_luminance_mean_value,
    f.components_luminance_variance_value, f.components_illumination_uniformity_value,
    f.components_natural_colour_value, f.components_single_face_value, f.components_yaw_value,
    f.components_pitch_value, f.components_roll_value, f.components_sharpness_value
FROM made m CROSS JOIN generate_series(0, {faces} - 1) face
CROSS JOIN LATERAL (SELECT random() + 0 * m.n + 0 * face AS score) s
JOIN real_rows USING (k) JOIN faces f ON f.result_id = real_rows.result_id AND f.face_index = 0
ORDER BY n, face;
INSERT INTO templates (profile_id, result_id, face_index, vector)
SELECT
    {profile}, result_id, face, l2_normalize(ARRAY(
        SELECT random() - 0.5 FROM generate_series(1, {components} + 0 * m.n + 0 * face)
    )::halfvec)
FROM made m CROSS JOIN generate_series(0, {faces} - 1) face
ORDER BY n, face;
INSERT INTO campaign_jobs (campaign_id, job_id, outcome)
SELECT c.id, m.job_id, '{outcome}' FROM made m, campaigns c ORDER BY n;
COMMIT
"""
