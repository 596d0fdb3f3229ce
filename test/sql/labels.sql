-- What a label must not take from others, and keys that come back.
SET client_min_messages = notice;
CREATE EXTENSION chatroom;
CREATE ROLE regress_labels_mallory;
CREATE ROLE regress_labels_bob;
CREATE SCHEMA labels;
GRANT ALL ON SCHEMA labels TO PUBLIC;

-- who are the table's owner, and nobody's else
SET ROLE regress_labels_mallory;
CREATE TABLE labels.mine (id int PRIMARY KEY, secret int);
RESET ROLE;

-- a topic with events
SELECT chatroom.broadcast('payroll', 'raise', '{"ann": 120000}') IS NOT NULL AS told;
SELECT chatroom.broadcast('team:42', 'hello', '1') IS NOT NULL AS told;
SELECT chatroom.broadcast('Team.column:x', 'hello', '1') IS NOT NULL AS told;
SET ROLE regress_labels_mallory;
SELECT chatroom.events('payroll');
SELECT chatroom.watch('labels.mine', 'payroll');
SELECT chatroom.watch('labels.mine', 'team');
SELECT chatroom.watch('labels.mine', 'Team');
SELECT chatroom.watch('labels.mine', 'teams');
SELECT chatroom.unwatch('labels.mine', 'teams');
-- nor by a trigger of one's own
CREATE TRIGGER mine AFTER INSERT ON labels.mine FOR EACH ROW EXECUTE FUNCTION chatroom.emit('payroll');
RESET ROLE;
-- nor does a superuser take it
SELECT chatroom.watch('labels.mine', 'payroll');
SELECT type, payload FROM chatroom.events('payroll');

-- one where somebody is present
SELECT chatroom.track('hall', 'ann') IS NOT NULL AS here;
SELECT chatroom.watch('labels.mine', 'hall');
-- one that somebody listens to, or has listened to for long
SELECT chatroom.channel('radio:1') IS NOT NULL AS named;
SELECT chatroom.channel('tv', '1 hour') IS NOT NULL AS named;
SELECT chatroom.watch('labels.mine', 'radio');
SELECT chatroom.watch('labels.mine', 'tv');
SELECT chatroom.unlisten('radio:1');
SELECT chatroom.watch('labels.mine', 'radio');
SELECT chatroom.unwatch('labels.mine', 'radio');

-- one that is granted, by name or by pattern
SELECT chatroom.grant_topic('g1', 'regress_labels_bob', '{sync}');
SELECT chatroom.grant_topic('g2:7', 'regress_labels_bob', '{broadcast}');
SELECT chatroom.grant_topic('g3:*', 'regress_labels_bob', '{track}');
SELECT chatroom.grant_topic('g4*', 'public', '{sync}');
SELECT chatroom.grant_topic('g5:{user}', 'public', '{sync}');
SELECT chatroom.watch('labels.mine', 'g1');
SELECT chatroom.watch('labels.mine', 'g2');
SELECT chatroom.watch('labels.mine', 'g3');
SELECT chatroom.watch('labels.mine', 'g4');
SELECT chatroom.watch('labels.mine', 'g44');
SELECT chatroom.watch('labels.mine', 'g5');
-- what only looks like it is free
SELECT chatroom.watch('labels.mine', 'g'), chatroom.watch('labels.mine', 'g11'), chatroom.watch('labels.mine', 'g3x');
SELECT chatroom.unwatch('labels.mine', 'g'), chatroom.unwatch('labels.mine', 'g11'), chatroom.unwatch('labels.mine', 'g3x');
-- a pattern for everything names nothing, but the table's owner takes nothing by that
SELECT chatroom.grant_topic('*:news', 'regress_labels_bob', '{broadcast}');
SELECT chatroom.watch('labels.mine', 'g6');
SELECT chatroom.unwatch('labels.mine', 'g6');
SET ROLE regress_labels_mallory;
SELECT chatroom.watch('labels.mine', 'g6');
RESET ROLE;
SELECT chatroom.revoke_topic('*:news', 'regress_labels_bob');

-- a label of another table's that would have topics in common
SET ROLE regress_labels_mallory;
SELECT chatroom.watch('labels.mine', 'News');
RESET ROLE;
CREATE TABLE labels.other (id int PRIMARY KEY);
SELECT chatroom.watch('labels.other', 'News.secret');
SELECT chatroom.watch('labels.other', 'Newsletter');
-- its own label may be watched again, be it with events and listeners
INSERT INTO labels.mine VALUES (1, 10);
SELECT chatroom.snapshot_cursor() IS NOT NULL AS caught_up;
SELECT chatroom.channel('News:1') IS NOT NULL AS named;
SELECT chatroom.watch('labels.mine', 'News', columns => '{id}', topic_columns => '{secret}');

-- the label was first: its topics are not granted
SELECT chatroom.grant_topic('News', 'public', '{sync}');
SELECT chatroom.grant_topic('News:1', 'public', '{sync}');
SELECT chatroom.grant_topic('New*', 'public', '{sync}');
SELECT chatroom.grant_topic('News:*', 'public', '{sync}');
SELECT chatroom.grant_topic('News.secret:*', 'public', '{sync}');
SELECT chatroom.grant_topic('News{user}', 'public', '{sync}');
SELECT chatroom.grant_topic('Newspaper', 'public', '{sync}');
SELECT chatroom.grant_topic('*', 'public', '{sync}');
SELECT chatroom.revoke_topic('*', 'public');
SELECT chatroom.broadcast('News:1', 'x', '1');
SELECT chatroom.track('News', 'ann');

-- who follows by the label needs what who follows by the name does
SELECT chatroom.watch('labels.mine');
SET ROLE regress_labels_bob;
SELECT chatroom.sync('labels.mine');
SELECT chatroom.sync('News');
SELECT chatroom.listen('News');
SELECT chatroom.channel('News:1');
RESET ROLE;
GRANT SELECT (id) ON labels.mine TO regress_labels_bob;
SET ROLE regress_labels_bob;
SELECT chatroom.sync('News') IS NOT NULL AS may, chatroom.sync('News:1') IS NOT NULL AS may;
SELECT chatroom.sync('News.secret:10');
SELECT chatroom.listen('News.secret:10');
RESET ROLE;

-- the label is gone: what stands in memory is for whom it was, whatever the topic means now
INSERT INTO labels.mine VALUES (2, 20);
SELECT chatroom.snapshot_cursor() IS NOT NULL AS caught_up;
SELECT chatroom.channel('News') AS channel \gset old_
SELECT chatroom.unwatch('labels.mine', 'News');
SELECT chatroom.channel('News') <> :'old_channel' AS renamed;
CREATE ROLE regress_labels_carol;
SELECT chatroom.grant_topic('News', 'public', '{sync,broadcast}');
SELECT chatroom.grant_topic('News:*', 'public', '{sync}');
SELECT chatroom.grant_topic('News.*', 'public', '{sync}');
SET ROLE regress_labels_carol;
SELECT type, key, "row" FROM chatroom.events('News');
SELECT type, key FROM chatroom.events('News:2');
SELECT chatroom.broadcast('News', 'mine', '1') IS NOT NULL AS told;
SELECT chatroom.snapshot_cursor() IS NOT NULL AS caught_up;
SELECT type, payload FROM chatroom.events('News');
RESET ROLE;
-- whoever may not select a column doesn't learn its values by such a topic
SET ROLE regress_labels_bob;
SELECT type, key FROM chatroom.events('News.secret:20');
SELECT type, key, payload FROM chatroom.events('News');
RESET ROLE;
SELECT type, key, payload FROM chatroom.events('News.secret:20');

-- the label again, of somebody else's table: only once nobody uses the topic
SELECT chatroom.revoke_topic(p, 'public') FROM unnest('{News,News:*,News.*}'::text[]) AS p;
SELECT chatroom.watch('labels.other', 'News');
SELECT chatroom.watch('labels.mine', 'Pages');
INSERT INTO labels.mine VALUES (3, 30);
SELECT chatroom.channel('Pages', '1 hour') AS channel \gset old_
SELECT chatroom.unwatch('labels.mine', 'Pages');
SELECT chatroom.watch('labels.other', 'Pages');
SELECT chatroom.channel('Pages') <> :'old_channel' AS renamed;
INSERT INTO labels.other VALUES (1);
SELECT chatroom.snapshot_cursor() IS NOT NULL AS caught_up;
SET ROLE regress_labels_bob;
SELECT chatroom.events('Pages');
RESET ROLE;
REVOKE ALL ON labels.mine FROM regress_labels_bob;
GRANT SELECT ON labels.other TO regress_labels_bob;
SET ROLE regress_labels_bob;
SELECT type, relation, key FROM chatroom.events('Pages');
RESET ROLE;

-- a table of the same name is another one: in events, and in its doorbell
CREATE TABLE labels.again (id int PRIMARY KEY);
SELECT chatroom.watch('labels.again');
INSERT INTO labels.again VALUES (1);
SELECT chatroom.channel('labels.again') AS channel \gset old_
DROP TABLE labels.again;
CREATE TABLE labels.again (id int PRIMARY KEY);
SELECT chatroom.watch('labels.again');
SELECT chatroom.channel('labels.again') <> :'old_channel' AS renamed;
INSERT INTO labels.again VALUES (2);
SELECT chatroom.snapshot_cursor() IS NOT NULL AS caught_up;
SELECT type, key FROM chatroom.events('labels.again');
SELECT chatroom.channel('labels.again') AS channel \gset old_
ALTER TABLE labels.again RENAME TO anew;
ALTER TABLE labels.other RENAME TO again;
SELECT chatroom.watch('labels.again');
SELECT chatroom.channel('labels.again') <> :'old_channel' AS renamed;

DROP SCHEMA labels CASCADE;
DROP EXTENSION chatroom;
DROP ROLE regress_labels_mallory;
DROP ROLE regress_labels_bob;
DROP ROLE regress_labels_carol;
