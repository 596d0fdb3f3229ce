-- WAL that is none of chatroom's: small transactions as applications make
-- them, each some inserts, updates and deletes, in tables that nobody watches.
CREATE SCHEMA elsewhere;

CREATE TABLE elsewhere.accounts (
	id bigint PRIMARY KEY,
	balance bigint NOT NULL,
	note text NOT NULL
) WITH (fillfactor = 80);
INSERT INTO elsewhere.accounts
	SELECT n, 0, repeat('x', 60) FROM generate_series(1, 200000) AS n;

CREATE TABLE elsewhere.orders (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	account bigint NOT NULL,
	item text NOT NULL,
	at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON elsewhere.orders (account);

-- Run transactions until so many bytes of WAL are written.
CREATE PROCEDURE elsewhere.trade(bytes bigint)
	LANGUAGE plpgsql
AS $$
DECLARE
	beginning pg_lsn := pg_current_wal_insert_lsn();
	buyer bigint;
	last bigint;
BEGIN
	WHILE pg_current_wal_insert_lsn() - beginning < bytes LOOP
		FOR i IN 1 .. 500 LOOP
			buyer := 1 + floor(random() * 200000);
			INSERT INTO elsewhere.orders (account, item)
				VALUES (buyer, 'one of the things that they sell, ' || i)
				RETURNING id INTO last;
			UPDATE elsewhere.accounts SET balance = balance - i
				WHERE id = buyer;
			DELETE FROM elsewhere.orders
				WHERE id = last - 100;
			COMMIT;
		END LOOP;
	END LOOP;
END;
$$;
