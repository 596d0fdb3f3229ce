# The soak's checker (test/soak/check.py) finds each kind of violation in
# journals made by hand, and none in journals that are as they should be.
use strict;
use warnings;
use File::Basename qw(dirname);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $checker = dirname(__FILE__) . '/../soak/check.py';

# Two writers; of the first's transactions one is rolled back, and the end of
# one isn't known: a server told of it before it was lost in a failover. "all"
# follows everything without a reset; "one" was told of what was lost; "late"
# was reset because of a lost slot, and hears a bell.
my %good = (
	'writer-1' => [
		'1.0 begin {"txn":1}',
		'1.1 commit {"txn":1,"parts":[[1,"insert",[1],10,1],[2,"insert",[2],11,1]],"undone":[3]}',
		'1.2 ack {"txn":1}',
		'2.0 begin {"txn":2}',
		'2.1 commit {"txn":2,"parts":[[1,"insert",[1],12,1],[2,"update",[2,3],11,2]],"undone":[]}',
		'2.2 ack {"txn":2}',
		'3.0 begin {"txn":3}',
		'3.1 failed {"txn":3}',
		'4.0 begin {"txn":4}',
		'4.1 commit {"txn":4,"parts":[[1,"insert",[1],14,1]],"undone":[]}',
		'4.2 unknown {"txn":4}'
	],
	'writer-2' => [
		'1.0 begin {"txn":1}',
		'1.3 commit {"txn":1,"parts":[[1,"insert",[2],15,1],[2,"broadcast",["news"],null,null]],"undone":[]}',
		'1.4 ack {"txn":1}'
	],
	'writer-0' => [
		'9.0 begin {"txn":1}',
		'9.1 commit {"txn":1,"parts":[[1,"insert",[1],20,1]],"undone":[]}',
		'9.2 ack {"txn":1}'
	],
	'truth' => [
		'9.3 goal {"writer":0,"txn":1}',
		'9.3 rows {"rows":[[10,1,1,1,1,1],[11,1,2,2,2,3],[12,1,2,1,1,1],[15,2,1,1,1,2],[20,0,1,1,1,1]]}',
		'9.3 switches {"ends":{"1":1280}}'
	],
	'faults' => [ '3.0 resets {"kind":"lose-slot","node":"bob"}' ],
	'follower-all' => [
		'0.5 follows {"rooms":[1,2,3,"news"],"bell":false}',
		'0.5 connect {"node":"ann"}',
		'0.6 start {"cursor":"1-aa-5-bb-1-90"}',
		'1.3 answer {"node":"ann","since":"1-aa-5-bb-1-90","cursor":"1-aa-5-bb-1-105","events":[["1-aa-5-bb-1-100","insert",1,1,1,10,1,1],["1-aa-5-bb-1-100","insert",1,1,2,11,1,2]],"hidden":[]}',
		'1.5 answer {"node":"ann","since":"1-aa-5-bb-1-105","cursor":"1-aa-5-bb-1-200","events":[["1-aa-5-bb-1-200","insert",2,1,1,15,1,2],["1-aa-5-bb-1-200","broadcast",2,1,2,null,null,null]],"hidden":[]}',
		'2.3 answer {"node":"ann","since":"1-aa-5-bb-1-200","cursor":"1-aa-5-bb-1-300","events":[["1-aa-5-bb-1-300","insert",1,2,1,12,1,1],["1-aa-5-bb-1-300","update",1,2,2,11,2,3]],"hidden":[]}',
		'5.0 lost {"error":"server closed the connection"}',
		'9.4 answer {"node":"bob","since":"1-aa-5-bb-1-300","cursor":"1-aa-5-cc-2-700","events":[["1-aa-5-cc-2-700","insert",0,1,1,20,1,1]],"hidden":[]}',
		'9.5 end {}'
	],
	'follower-one' => [
		'0.5 follows {"rooms":[1],"bell":false}',
		'0.6 start {"cursor":"1-aa-5-bb-1-90"}',
		'4.1 answer {"node":"ann","since":"1-aa-5-bb-1-90","cursor":"1-aa-5-bb-1-600","events":[["1-aa-5-bb-1-100","insert",1,1,1,10,1,1],["1-aa-5-bb-1-300","insert",1,2,1,12,1,1],["1-aa-5-bb-1-600","insert",1,4,1,14,1,1]],"hidden":[]}',
		'6.0 reset {"node":"bob","since":"1-aa-5-bb-1-600"}',
		'6.1 load {"node":"bob","cursor":"1-aa-5-cc-2-510","txns":[[1,1],[1,2],[2,1]],"rows":[[10,1,1,1,1,1],[12,1,2,1,1,1]]}',
		'9.4 answer {"node":"bob","since":"1-aa-5-cc-2-510","cursor":"1-aa-5-cc-2-700","events":[["1-aa-5-cc-2-700","insert",0,1,1,20,1,1]],"hidden":[]}',
		'9.5 end {}'
	],
	'follower-late' => [
		'0.5 follows {"rooms":[3],"bell":true}',
		'0.6 start {"cursor":"1-aa-5-bb-1-90"}',
		'3.5 reset {"node":"bob","since":"1-aa-5-bb-1-90"}',
		'3.6 load {"node":"bob","cursor":"1-aa-5-bb-1-210","txns":[[1,1],[2,1]],"rows":[]}',
		'3.7 answer {"node":"bob","since":"1-aa-5-bb-1-210","cursor":"1-aa-5-bb-1-300","events":[["1-aa-5-bb-1-300","update",1,2,2,11,2,3]],"hidden":[],"poll":true}',
		'9.5 end {}'
	],
	'fold-a' => [
		'1.0 fold {"node":"ann","held":"same","loaded":"same"}',
		'3.2 reset {"node":"bob","since":"1-aa-5-bb-1-90"}'
	],
	'presence-session-1' => [
		'1.0 tracked {"key":"ann","node":"ann","lease":null}',
		'3.0 alive {"key":"ann"}',
		'3.1 gone {"key":"ann"}'
	],
	'presence-lease-1' => [
		'1.0 tracked {"key":"ben","node":"ann","lease":2,"began":0.9}',
		'2.0 tracked {"key":"ben","node":"ann","lease":2,"began":1.9}'
	],
	'present-a' => [
		'2.1 present {"node":"ann","began":2.0,"keys":["ann","ben"]}',
		'20.1 present {"node":"ann","began":20.0,"keys":["ben"]}',
		'50.1 present {"node":"ann","began":50.0,"keys":[]}',
		'51.0 rest {"node":"ann","began":50.5,"keys":[]}'
	]);

# The checker's output and exit status.
sub run_checker
{
	my (%journals) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $out = '';

	append_to_file("$dir/$_.log", join '', map { "$_\n" } @{ $journals{$_} })
	  foreach keys %journals;
	IPC::Run::run([ 'python3', $checker, $dir ], '<', \undef, '>', \$out, '2>&1');
	return ($out, $? >> 8);
}

SKIP:
{
	skip 'python3 is not there', 1
	  unless grep { -x "$_/python3" } split /:/, $ENV{PATH};

	my ($out, $status) = run_checker(%good);
	is("$status $out", "0 0 violations\n", 'good journals have no violation');

	# What is wrong, in which journal, and how it gets there: the text that is
	# replaced in its lines, or lines that are taken out and put elsewhere.
	my @cases = (
		[ 'lost', 'an event that never came', 'follower-all',
			sub { splice @{ $_[0] }, 4, 1 } ],
		[ 'lost', 'a table and a reload that lack it', 'follower-late',
			sub { splice @{ $_[0] }, 4, 1 } ],
		[ 'duplicated', 'an answer that comes again', 'follower-all',
			sub { splice @{ $_[0] }, 4, 0, $_[0][3] } ],
		[ 'duplicated', 'an event of what was loaded', 'follower-one',
			sub { splice @{ $_[0] }, 5, 0, $_[0][2] } ],
		[ 'duplicated', 'an event twice in an answer', 'follower-one',
			sub { $_[0][5] =~ s/\[(\[.*?\])/[$1,$1/ } ],
		[ 'reordered', 'answers in another order', 'follower-all',
			sub { @{ $_[0] }[ 3, 4 ] = @{ $_[0] }[ 4, 3 ] } ],
		[ 'reordered', 'a writer\'s transactions in another order', 'follower-all',
			sub { s/-1-300"/-1-80"/ foreach $_[0][5]; @{ $_[0] }[ 3, 5 ] = @{ $_[0] }[ 5, 3 ] } ],
		[ 'reordered', 'parts of a transaction in another order', 'follower-all',
			sub { $_[0][3] =~ s/(\["1-aa-5-bb-1-100","insert",1,1,1.*?\]),(\[.*?\])/$2,$1/ } ],
		[ 'reordered', 'a transaction that is elsewhere for another', 'follower-one',
			sub { $_[0][2] =~ s/1-300"/1-308"/ } ],
		[ 'reordered', 'a cursor before its events', 'follower-all',
			sub { $_[0][4] =~ s/"cursor":"1-aa-5-bb-1-200"/"cursor":"1-aa-5-bb-1-150"/ } ],
		[ 'aborted-but-seen', 'a transaction that was rolled back', 'follower-all',
			sub { $_[0][5] =~ s/"insert",1,2,1/"insert",1,3,1/ } ],
		[ 'aborted-but-seen', 'one that nobody wrote', 'follower-all',
			sub { $_[0][7] =~ s/"insert",0,1/"insert",7,1/ } ],
		[ 'aborted-but-seen', 'what was rolled back to a savepoint', 'follower-all',
			sub { $_[0][3] =~ s/\],"hidden"/,["1-aa-5-bb-1-100","insert",1,1,3,99,1,2]],"hidden"/ } ],
		[ 'torn', 'a part that is missing', 'follower-all',
			sub { $_[0][5] =~ s/,\["1-aa-5-bb-1-300","update".*?\]// } ],
		[ 'torn', 'two cursors in a transaction', 'follower-all',
			sub { $_[0][5] =~ s/300","update"/308","update"/ } ],
		[ 'torn', 'another\'s events inside', 'follower-all',
			sub { $_[0][3] =~ s/,(\["1-aa-5-bb-1-100","insert",1,1,2.*?\])/,["1-aa-5-bb-1-100","insert",2,1,1,15,1,2],$1/ } ],
		[ 'torn', 'a broadcast that didn\'t come', 'follower-all',
			sub { $_[0][4] =~ s/,\["1-aa-5-bb-1-200","broadcast".*?\]// } ],
		[ 'seen-but-not-visible', 'a row that SELECT doesn\'t show', 'follower-all',
			sub { $_[0][3] =~ s/"hidden":\[\]/"hidden":[11]/ } ],
		[ 'wrong', 'another row', 'follower-all',
			sub { $_[0][4] =~ s/1,15,1,2/1,16,1,2/ } ],
		[ 'wrong', 'an older version', 'follower-all',
			sub { $_[0][5] =~ s/11,2,3/11,1,3/ } ],
		[ 'wrong', 'another type', 'follower-all', sub { $_[0][5] =~ s/update/insert/ } ],
		[ 'wrong', 'a reload without a row', 'follower-one',
			sub { $_[0][4] =~ s/\[10,.*?\],// } ],
		[ 'kept-after-failover', 'no reset after what was lost', 'follower-one',
			sub { splice @{ $_[0] }, 3, 2 } ],
		[ 'unsaved', 'a table that lacks what was acknowledged', 'truth',
			sub { $_[0][1] =~ s/\[10,.*?\],// } ],
		[ 'unsaved', 'a table that has what was rolled back', 'truth',
			sub { $_[0][1] =~ s/\[10,/[30,1,3,1,1,1],[10,/ } ],
		[ 'needless-reset', 'a reset that nothing explains', 'follower-late',
			sub { $_[0][2] =~ s/bob/cid/ } ],
		[ 'needless-reset', 'one after the slot was long back', 'follower-late',
			sub { $_[0][2] =~ s/^3.5/93.5/ } ],
		[ 'needless-reset', 'one of a value that is held', 'fold-a',
			sub { $_[0][1] =~ s/bob/cid/ } ],
		[ 'bell-missed', 'a bell that didn\'t ring', 'follower-late',
			sub { $_[0][4] =~ s/^3.7/33.7/ } ],
		[ 'never-ended', 'a follower that hangs', 'follower-all', sub { pop @{ $_[0] } } ],
		[ 'presence-ghost', 'a session shown after its end', 'present-a',
			sub { $_[0][2] =~ s/\[\]/["ann"]/ } ],
		[ 'presence-ghost', 'a lease shown after its end', 'present-a',
			sub { $_[0][2] =~ s/\[\]/["ben"]/ } ],
		[ 'presence-ghost', 'somebody there when all have gone', 'present-a',
			sub { $_[0][3] =~ s/\[\]/["ann"]/ } ],
		[ 'presence-lost', 'a session that isn\'t shown', 'present-a',
			sub { $_[0][0] =~ s/\["ann",/[/ } ],
		[ 'presence-differs', 'a fold of presence that differs', 'present-a',
			sub { push @{ $_[0] }, '51.1 differs {"node":"ann","held":["ann"],"told":[]}' } ],
		[ 'fold-differs', 'a value that differs', 'fold-a',
			sub { $_[0][0] =~ s/"held":"same"/"held":"[]"/ } ],
		[ 'error', 'an error that no fault explains', 'presence-session-1',
			sub { push @{ $_[0] }, '5.0 error {"state":"XX000","text":"cache lookup failed"}' } ]);
	my %tried;

	foreach my $case (@cases)
	{
		my ($kind, $what, $journal, $change) = @$case;
		my %bad = map { $_ => [ @{ $good{$_} } ] } keys %good;

		$tried{$kind} = 1;
		$change->($bad{$journal});
		($out, $status) = run_checker(%bad);
		like($out, qr/^violation: $kind: .*\n(?:.*\n)*> /m, "$kind: $what");
		is($status, 1, "$kind: $what: exit status");
	}

	# no kind without a case
	my ($kinds) = slurp_file($checker) =~ /^KINDS = \[(.*?)\]/ms;
	is(join(' ', sort keys %tried), join(' ', sort $kinds =~ /"([-\w]+)"/g),
		'each kind was tried');
}

done_testing();
