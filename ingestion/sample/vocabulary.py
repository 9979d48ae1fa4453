from collections.abc import Mapping
from dataclasses import dataclass

WOMEN = (
    "Adela", "Alba", "Annika", "Ariane", "Beatrix", "Brisa", "Calla", "Carys", "Celeste", "Daria", "Delphine",
    "Dorthea",
    "Edda", "Elodie", "Esme", "Fenna", "Fiorella", "Gemma", "Greta", "Hanne", "Imara", "Ines", "Iolanthe",
    "Ismene",
    "Jorunn", "Junia", "Kaia", "Keziah", "Lavinia", "Leocadia", "Linnea", "Luisa", "Maelle", "Marisol",
    "Mireille",
    "Nadezhda", "Noor", "Odalys", "Oriana", "Petra", "Philippa", "Quilla", "Renske", "Rosalind", "Sabela",
    "Saoirse",
    "Sunniva", "Tamsin", "Tindra", "Ulrike", "Valeria", "Vesna", "Wilhelmina", "Xanthe", "Yara", "Ysolde",
    "Zélie", "Zora",
)  # fmt: skip
MEN = (
    "Alaric", "Anselm", "Aurelio", "Balthasar", "Bastien", "Benedikt", "Caspian", "Cormac", "Cyprian",
    "Dagfinn", "Darius",
    "Demetrio", "Edmund", "Eskil", "Evander", "Fabrizio", "Fergus", "Florian", "Gareth", "Gideon", "Hakon",
    "Horatio",
    "Ignatius", "Isidro", "Ivo", "Jarek", "Jonah", "Kasimir", "Kenji", "Lachlan", "Leandro", "Lorcan",
    "Magnus", "Matteo",
    "Mirko", "Nikolai", "Octavio", "Olin", "Osric", "Pascal", "Quentin", "Radek", "Rafe", "Rémi", "Rufus",
    "Sander",
    "Søren", "Stellan", "Tadeusz", "Tiberio", "Torvald", "Umberto", "Valentin", "Viggo", "Wendel", "Xavi",
    "Yannick", "Zoltan",
)  # fmt: skip
SURNAME_STARTS = (
    "Abber", "Almer", "Andro", "Arken", "Ballo", "Belmor", "Bexen", "Bramble", "Brindle", "Calder", "Carrow",
    "Cinder",
    "Corvin", "Dalgo", "Dellar", "Dremmel", "Dunmor", "Eastre", "Elver", "Emberlo", "Fallo", "Fenwor",
    "Ferran", "Florem",
    "Galver", "Gildo", "Grevel", "Halvor", "Harken", "Hessel", "Holmber", "Ilver", "Istrav", "Jarvel",
    "Jessen", "Kaldo",
    "Kelver", "Kester", "Korven", "Lammer", "Larkin", "Lindo", "Lorrim", "Maddo", "Marrel", "Merro", "Morgen",
    "Nardo",
    "Nettle", "Norrim", "Oakmer", "Ostro", "Pallan", "Pember", "Perrin", "Quarle", "Quillo", "Radmor",
    "Rinder", "Rosmer",
    "Sabber", "Selmor", "Skarven", "Sorrel", "Tallo", "Tarmor", "Thessel", "Tolver", "Umbro", "Valder",
    "Varro", "Vesper",
    "Wander", "Welmer", "Wexen", "Wolder", "Yarrow", "Yelver", "Zanden", "Zerrin",
)  # fmt: skip
SURNAME_ENDS = (
    "by", "croft", "dale", "den", "dorff", "dóttir", "elle", "escu", "ez", "feld", "gard", "gaard", "hart",
    "holm", "ić",
    "idge", "ini", "kamp", "lund", "man", "mere", "mond", "nell", "ola", "onne", "os", "ova", "quist", "rud",
    "sen",
    "shaw", "son", "stad", "strand", "thorpe", "torre", "unga", "vale", "ward", "wick", "wood", "worth",
    "yama", "zyk",
)  # fmt: skip

STUDIO_STARTS = (
    "Amber", "Anchor", "Aurora", "Beacon", "Black Heron", "Blue Fern", "Brass Lantern", "Cinder",
    "Copper Kite", "Crescent",
    "Driftwood", "Eleventh Hour", "Evergate", "Fable", "Feather", "Glass Harbor", "Gold Thistle", "Granite",
    "Green Comet",
    "Halcyon", "Hollow Oak", "Iron Sparrow", "Juniper", "Lakehouse", "Lamplight", "Long Meadow", "Marble",
    "Midnight Tram",
    "Moonraft", "Northwind", "Old Pier", "Opal", "Paper Lion", "Peregrine", "Quicksilver", "Red Umbrella",
    "Rivermouth",
    "Saltmarsh", "Seven Bells", "Silver Birch", "Slow Train", "Snowgoose", "Stone Orchard", "Tall Window",
    "Tidewater",
    "Two Foxes", "Violet Hour", "Wayfarer", "White Kestrel", "Wild Quince",
)  # fmt: skip
STUDIO_ENDS = (
    "Pictures", "Films", "Productions", "Entertainment", "Studios", "Film", "Cinema", "Media", "Features",
    "Filmverleih",
    "Cinématographique", "Film AB", "Moving Pictures", "Picture House", "& Daughters", "Bros.",
)  # fmt: skip

TITLE_ADJECTIVES = (
    "Absent", "Borrowed", "Bright", "Broken", "Burning", "Careless", "Crooked", "Distant", "Drowned", "Early",
    "Eleventh",
    "Empty", "Endless", "Faithful", "Fallen", "False", "Forgotten", "Gentle", "Gilded", "Golden", "Hidden",
    "Hollow",
    "Hungry", "Impossible", "Invisible", "Last", "Late", "Little", "Lonely", "Lost", "Lucky", "Nameless",
    "Narrow", "Northern",
    "Open", "Painted", "Patient", "Perfect", "Quiet", "Reckless", "Restless", "Rusty", "Sacred", "Secret",
    "Silent", "Silver",
    "Sleeping", "Slow", "Southern", "Stolen", "Strange", "Sudden", "Tender", "Thirteenth", "Unfinished",
    "Unlikely", "Wicked",
    "Wild", "Winter", "Wooden",
)  # fmt: skip
TITLE_NOUNS = (
    "Anchor", "Apprentice", "Arrival", "Atlas", "Autumn", "Balcony", "Bargain", "Beekeeper", "Bicycle",
    "Birthday", "Bridge",
    "Cartographer", "Cathedral", "Circus", "Clockmaker", "Compass", "Confession", "Corridor", "Daughter",
    "Detour", "Dinner",
    "Echo", "Election", "Ember", "Empire", "Engagement", "Escape", "Fable", "Farewell", "Ferry", "Flood",
    "Fortune", "Garden",
    "Ghost", "Guest", "Harbor", "Harvest", "Heiress", "Horizon", "Hotel", "Hour", "Hunter", "Inheritance",
    "Island", "Journey",
    "Key", "Kingdom", "Lantern", "Letter", "Lighthouse", "Machine", "Map", "Market", "Melody", "Messenger",
    "Midnight",
    "Mirror", "Mountain", "Neighbor", "Night", "Novice", "Oath", "Orchard", "Orphan", "Outlaw", "Passenger",
    "Pilot",
    "Portrait", "Promise", "Quarrel", "Queen", "Rebellion", "Reckoning", "River", "Robot", "Room", "Route",
    "Sailor",
    "Season", "Secret", "Shadow", "Signal", "Sister", "Soldier", "Song", "Station", "Stranger", "Summer",
    "Tailor", "Thief",
    "Thread", "Tide", "Tower", "Train", "Treasure", "Verdict", "Village", "Visitor", "Voyage", "Wedding",
    "Widow", "Window",
    "Winter", "Witness", "Wolf",
)  # fmt: skip
PLACES = (
    "Altamere", "Bellhaven", "Brackwater", "Calverton", "Corrigan Bay", "Dunlow", "Eastermoor", "Elmsgate",
    "Fairwick",
    "Farrowdale", "Greymoor Hill", "Halloway", "Hartmouth", "Inverley", "Kestrel Point", "Larkford",
    "Linden Falls",
    "Marrow Creek", "Merrowdown", "Nettlebridge", "Norhaven", "Oldcastle", "Ostermark", "Pellworth",
    "Quarry Lane",
    "Ravensby", "Saint Orla", "Saltburn Sound", "Silverlake", "Tarn Hollow", "Thornbury", "Umberton",
    "Vellacourt",
    "Westering", "Wolfdale", "Yarrowfield", "Zandermeer",
)  # fmt: skip
FOREIGN_STARTS = (
    "Al",
    "Bel",
    "Cor",
    "Dé",
    "El",
    "Fjö",
    "Gra",
    "Hä",
    "Ior",
    "Jé",
    "Ka",
    "Lu",
    "Mø",
    "Né",
    "Or",
    "Pla",
    "Qui",
    "Rê",
    "Sö",
    "Tra",
    "Ür",
    "Vi",
    "Zá",
)
FOREIGN_ENDS = (
    "ança",
    "bré",
    "cía",
    "dør",
    "enza",
    "für",
    "gård",
    "hène",
    "iño",
    "kko",
    "lès",
    "mão",
    "nacht",
    "ora",
    "pé",
    "ría",
    "ssö",
    "tève",
    "ução",
    "vël",
)


@dataclass(frozen=True)
class Country:
    """A country of production, as TMDB names it."""

    name: str
    code: str
    language: str
    weight: float


COUNTRIES = (
    Country("United States of America", "US", "en", 0.690), Country("United Kingdom", "GB", "en", 0.090),
    Country("France", "FR", "fr", 0.055), Country("Canada", "CA", "en", 0.025),
    Country("Japan", "JP", "ja", 0.033),
    Country("Germany", "DE", "de", 0.025), Country("Italy", "IT", "it", 0.018),
    Country("Spain", "ES", "es", 0.014),
    Country("Sweden", "SE", "sv", 0.010), Country("Australia", "AU", "en", 0.014),
    Country("India", "IN", "hi", 0.008),
    Country("Denmark", "DK", "da", 0.005), Country("South Korea", "KR", "ko", 0.006),
    Country("Brazil", "BR", "pt", 0.004),
    Country("Mexico", "MX", "es", 0.003),
)  # fmt: skip


@dataclass(frozen=True)
class Genre:
    """A genre with TMDB's id, how common it is, and how far it draws women to the centre of the story."""

    name: str
    tmdb_id: int
    weight: float
    pull: float


GENRES = (
    Genre("Drama", 18, 0.516, 0.15), Genre("Comedy", 35, 0.361, 0.1), Genre("Thriller", 53, 0.216, -0.2),
    Genre("Romance", 10749, 0.210, 0.55), Genre("Action", 28, 0.178, -0.7), Genre("Adventure", 12, 0.139, -0.4),
    Genre("Crime", 80, 0.124, -0.6), Genre("Horror", 27, 0.122, 0.5), Genre("Science Fiction", 878, 0.108, -0.3),
    Genre("Family", 10751, 0.095, 0.4), Genre("Fantasy", 14, 0.093, 0.2), Genre("Mystery", 9648, 0.080, 0.2),
    Genre("Animation", 16, 0.063, -0.1), Genre("Music", 10402, 0.046, 0.3), Genre("History", 36, 0.042, -0.4),
    Genre("War", 10752, 0.033, -1.0), Genre("Western", 37, 0.020, -1.2), Genre("TV Movie", 10770, 0.015, 0.8),
    Genre("Documentary", 99, 0.013, -0.5),
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A crew job: its department, the share of women in it, and in how many credited films it is named."""

    name: str
    department: str
    women: float
    presence: float


KEY_JOBS = (
    Job("Producer", "Production", 0.14, 0.85), Job("Producer", "Production", 0.16, 0.55),
    Job("Producer", "Production", 0.18, 0.3),
    Job("Executive Producer", "Production", 0.14, 0.45), Job("Executive Producer", "Production", 0.14, 0.25),
    Job("Editor", "Editing", 0.15, 0.9), Job("Director of Photography", "Camera", 0.01, 0.85),
    Job("Original Music Composer", "Sound", 0.03, 0.75), Job("Casting", "Production", 0.80, 0.55),
    Job("Art Direction", "Art", 0.12, 0.4), Job("Production Design", "Art", 0.14, 0.45),
    Job("Costume Design", "Costume & Make-Up", 0.75, 0.45), Job("Set Decoration", "Art", 0.42, 0.35),
)  # fmt: skip
OTHER_JOBS = (
    Job("Makeup Artist", "Costume & Make-Up", 0.45, 1), Job("Animation", "Visual Effects", 0.1, 1),
    Job("Sound Re-Recording Mixer", "Sound", 0.02, 1), Job("Camera Operator", "Camera", 0.02, 1),
    Job("Script Supervisor", "Directing", 0.90, 1), Job("Sound Effects Editor", "Sound", 0.18, 1),
    Job("Hairstylist", "Costume & Make-Up", 0.70, 1),
    Job("Visual Effects Supervisor", "Visual Effects", 0.02, 1),
    Job("Stunts", "Crew", 0.24, 1), Job("Music Editor", "Sound", 0.08, 1),
    Job("Still Photographer", "Camera", 0.17, 1),
    Job("Dialogue Editor", "Sound", 0.31, 1), Job("Stunt Coordinator", "Crew", 0.02, 1),
    Job("Foley", "Sound", 0.23, 1),
    Job("Costume Supervisor", "Costume & Make-Up", 0.70, 1), Job("Associate Producer", "Production", 0.3, 1),
    Job("Location Manager", "Production", 0.2, 1), Job("Gaffer", "Lighting", 0.01, 1),
    Job("Property Master", "Art", 0.1, 1),
    Job("Assistant Director", "Directing", 0.15, 1), Job("Production Manager", "Production", 0.3, 1),
)  # fmt: skip
WRITING_JOBS = (("Screenplay", 0.68), ("Writer", 0.87), ("Story", 0.94), ("Novel", 1.0))

# Overviews. {she} {her} {hers} and {name} follow the gender of whom the clause is about.
HEROINES = (
    "woman",
    "girl",
    "mother",
    "nurse",
    "widow",
    "young woman",
    "actress",
    "teacher",
    "daughter",
    "sister",
    "bride",
)
HEROES = (
    "man",
    "boy",
    "father",
    "detective",
    "soldier",
    "agent",
    "outlaw",
    "son",
    "brother",
    "captain",
    "lawyer",
)
NEUTRAL = (
    "journalist",
    "student",
    "writer",
    "scientist",
    "musician",
    "doctor",
    "stranger",
    "orphan",
    "farmer",
    "clerk",
)
OPENINGS = (
    "A {mood} {who} returns to {place} and finds that nothing is as {she} left it.",
    "When a {mood} {who} inherits a house in {place}, {her} past comes looking for {her2}.",
    "{name}, a {mood} {who}, has one week to leave {place}.",
    "In {place}, a {mood} {who} makes a promise that {she} cannot keep.",
    "{name} is a {who} with a secret that the whole of {place} wants to know.",
    "After a long winter a {who} named {name} sets out from {place} to begin again.",
    "A {who} and a stranger meet on the night train to {place}.",
)
MOODS = (
    "restless",
    "lonely",
    "stubborn",
    "gifted",
    "retired",
    "penniless",
    "celebrated",
    "shy",
    "ruthless",
    "hopeful",
)
WOMEN_CLAUSES = (
    "She and her sister must decide what to do about their mother.",
    "With the help of the other women of the village she takes back what is hers.",
    "Her best friend, a girl from school, knows more than she tells.",
    "Two daughters and their grandmother share one house and one secret.",
    "The girls swear to stay friends, whatever their parents say.",
    "A married woman on the third floor teaches her to trust herself.",
    "Her mother and her aunt have not spoken since the wedding.",
)
MEN_CLAUSES = (
    "He and his brother join a gang that the police have hunted for years.",
    "The men of the crew have one mission left, and no way home.",
    "His old captain sends him into battle a last time.",
    "An agent of the government offers him a deal he cannot refuse.",
    "He swears revenge on the men who killed his partner.",
    "With his team he plans the robbery that will free him.",
    "The war has taught him to trust nobody but himself.",
)
COUPLE_CLAUSES = (
    "Their relationship is tested when her husband comes home.",
    "A couple from the city moves in next door, and both families fall in love with trouble.",
    "He falls for a girl who is engaged to his friend.",
    "She must choose between love and the life she planned with her boyfriend.",
)
PLAIN_CLAUSES = (
    "The search leads across the mountains and into the future.",
    "Nobody in town believes a word of it.",
    "What begins as a joke ends in court.",
    "The city sleeps while the river rises.",
    "Every clue points to the old theatre.",
    "But time is running out.",
    "An accident changes everything.",
    "The journey is longer than the map admits.",
)
TAGLINES = (
    "Some doors stay open.", "Nobody leaves {place} twice.", "Trust is a luxury.", "One night. One chance.",
    "The truth has a price.", "Home is where it hurts.", "Fall in love. Run.", "It was only a promise.",
)  # fmt: skip
CHARACTER_JOBS = (
    "Captain",
    "Doctor",
    "Detective",
    "Waiter",
    "Neighbor",
    "Teacher",
    "Driver",
    "Clerk",
    "Singer",
    "Guard",
)

PRONOUNS: Mapping[int, Mapping[str, str]] = {
    1: {"she": "she", "her": "her", "her2": "her"},
    2: {"she": "he", "her": "his", "her2": "him"},
}
