SELECT k.key AS place, s.id
FROM json_each(?1) k
CROSS JOIN subjects s ON s.gallery_id = k.value ->> 0 AND s.name = k.value ->> 1
