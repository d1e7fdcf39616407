"""Memorable names for runs: an adjective and a noun, computed from the run id.

A name is for people to say aloud. It is not unique and no identity. The words are friendly, short,
distinct and easy to spell. A change of the lists renames no run, because records hold the name.
"""

from gitexp.core.model.ids import RunId

ADJECTIVES = tuple(
    """
    able agile airy alert amber ample apt arctic autumn azure balmy blithe bold bonny brave breezy
    bright brisk bronze calm candid cheery civil clever coral cosmic cosy crisp curious dainty dandy
    dapper daring deft dewy eager early earnest easy elated epic exact fair famous fancy fast
    fearless fine fleet fluent fond frank free fresh gallant gentle giddy glad gleaming golden good
    grand great happy hardy hearty honest humble ideal jolly jovial joyful keen kind lively lofty
    loyal lucid lucky lunar mellow merry mighty mild modest neat nimble noble novel patient placid
    plucky polite prime proud pure quick quiet ready regal robust rosy rustic sage serene silver
    sleek smart snug sober solar solid spry steady sturdy sunlit sunny swift tidy tranquil trusty
    upbeat velvet vivid warm wise witty zesty
    """.split()
)
NOUNS = tuple(
    """
    acorn alder alpaca anchor aspen aster auk badger bamboo basil bay beacon beaver birch bison
    breeze brook canyon cedar cello cherry clover comet condor copper cove crane cricket crocus
    cypress daisy dawn delta dolphin dove dune eagle echo egret elk elm falcon fern ferret finch
    fjord forest fox garnet gecko geyser ginger glacier glade grove gull harbor hare harp hawk hazel
    hedgehog heron hill holly ibis iris island ivy jade jasmine jay kestrel kiwi koala lagoon lake
    lark laurel lemur lichen lily linden lotus lynx magpie maple marten meadow mesa mint moose moss
    newt oak oasis ocean olive opal orca orchid osprey otter owl panda pebble pine plover poplar
    puffin quail quartz rabbit raven reef river robin sable salmon seal sparrow spruce swan tern
    thistle tiger topaz wren
    """.split()
)


def memorable_name(run: RunId) -> str:
    """Return the word pair of a run id, the same on every machine.

    It depends on other digits than those that a short id shows.
    """
    # The last digits, so that runs whose ids start alike have different names.
    number = int(run[-8:], 16)
    adjective = ADJECTIVES[number % len(ADJECTIVES)]
    return f"{adjective}-{NOUNS[number // len(ADJECTIVES) % len(NOUNS)]}"
